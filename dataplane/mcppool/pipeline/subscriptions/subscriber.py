"""One client that listens."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping

import msgspec

from mcppool.pipeline.subscriptions.filter import Filter, WatchedTask
from mcppool.policy.memory_budget import MemoryAccount
from mcppool.policy.principal import ANONYMOUS, Principal
from mcppool.upstream.subscription_stream import ACKNOWLEDGED, TASK_CHANGED
from mcppool.wire.message_ids import rewrite_ids
from mcppool.wire.raw_values import text_in
from mcppool.wire.tasks import convert_event

MAX_QUEUED = 1000
MAX_QUEUED_BYTES = 1024 * 1024
"""Upper bound in bytes on the events that wait for one client; a slower reader is cut, and may come back. A single
event may be larger."""


class Subscriber:
    """One client's stream: its request's id, its filter, and the events that wait to be written.

    `owner` is the client that its filter counts for. `tasks` are the tasks that it follows, each with its sealed id.
    `joined`: it has heard, or is about to hear, that from now on it gets every change.
    """

    __slots__ = (
        "_account", "_wake", "events", "filter", "id", "joined", "overflown", "owner", "principal", "queued", "tasks",
    )  # fmt: skip

    def __init__(
        self,
        id: bytes,
        filter: Filter,
        owner: str,
        account: MemoryAccount,
        principal: Principal = ANONYMOUS,
        tasks: Mapping[WatchedTask, str] | None = None,
    ) -> None:
        self.id = id
        self.filter = filter
        self.owner = owner
        self.principal = principal
        self.tasks = dict(tasks or {})
        self.events: deque[bytes] = deque()
        self.queued = 0  # bytes
        self._account = account
        self.joined = False
        self.overflown = False
        self._wake = asyncio.Event()

    def offer(self, notification: bytes) -> None:
        """Queue an event, under this client's own subscription id."""
        event = rewrite_ids(notification, subscription_id=self.id)
        if (
            len(self.events) >= MAX_QUEUED
            or (self.events and self.queued + len(event) > MAX_QUEUED_BYTES)
            or not self._account.reserve(len(event))
        ):
            self.overflown = True
        else:
            self.events.append(event)
            self.queued += len(event)
        self._wake.set()

    def offer_task(self, task: WatchedTask, notification: bytes) -> None:
        """Queue the state of a task, if it follows it, under the id that it knows."""
        sealed = self.tasks.get(task)
        if sealed is None:
            return
        own = b'"%b"' % sealed.encode()
        self.offer(convert_event(notification, TASK_CHANGED, lambda raw: own if text_in(raw) == task.id else None))

    def cut(self) -> None:
        """End the stream without a word, because it has missed something: its client may listen again."""
        self.overflown = True
        self._wake.set()

    def acknowledgement(self) -> bytes:
        """The first notification on its stream, with the subscriptions in force."""
        honoured = Filter(self.filter.lists, self.filter.uris).wire()
        if self.tasks:
            honoured["taskIds"] = list(self.tasks.values())
        meta = {"io.modelcontextprotocol/subscriptionId": msgspec.Raw(self.id)}
        params = {"_meta": meta, "notifications": honoured}
        return msgspec.json.encode({"jsonrpc": "2.0", "method": ACKNOWLEDGED, "params": params})

    def take(self) -> bytes:
        """The event that has waited longest."""
        event = self.events.popleft()
        self.queued -= len(event)
        self._account.release(len(event))
        return event

    def close(self) -> None:
        """Drop the events that still wait."""
        while self.events:
            self.take()

    async def wait(self) -> None:
        """Wait until there is an event."""
        self._wake.clear()
        if not self.events and not self.overflown:
            await self._wake.wait()
