"""`subscriptions/listen` at a replica that runs several processes: what any of them tells reaches the caller.

The first process has the request, acknowledges it and ends it. Each further process that serves calls gets the same
request under an id of its own, before its first call; of what it says only its notifications are passed on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from mcppool.supervision import guard
from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.stdio.conversation import Conversation, PendingRequest
from mcppool.upstream.subscription_stream import ACKNOWLEDGED
from mcppool.upstream.timeouts import within
from mcppool.wire.envelope import BadEnvelope, RpcRequest, parse_response

ACKNOWLEDGED_WITHIN = 5.0  # seconds for which the first call of a further process waits until that listens


class Subscription:
    """One `subscriptions/listen` under way; `pending` is its request at the first process."""

    def __init__(self, first: Conversation, pending: PendingRequest, request: RpcRequest, body: bytes) -> None:
        self._first = first
        self._pending = pending
        self._request = request
        self._body = body
        self._listening: set[asyncio.Task[None]] = set()

    async def join(self, worker: Conversation) -> None:
        """Have a further process listen, too; returns once it does."""
        try:
            id, pending = await worker.begin(self._request, self._body)
        except ConnectionLost:
            return
        acknowledged = asyncio.Event()
        task = guard("subscription", self._pass_on(worker, id, pending, acknowledged))
        self._listening.add(task)
        task.add_done_callback(self._listening.discard)
        with suppress(TimeoutError):
            async with within(ACKNOWLEDGED_WITHIN):
                await acknowledged.wait()

    def end(self) -> None:
        """The caller listens no more."""
        for task in self._listening:
            task.cancel()

    async def _pass_on(
        self, worker: Conversation, id: bytes, pending: PendingRequest, acknowledged: asyncio.Event
    ) -> None:
        try:
            while (line := await pending.messages.get()) is not None:
                if _is_notification(line):
                    self._first.tell(self._pending, line)
                acknowledged.set()
        finally:
            acknowledged.set()
            worker.cancel(id)


def _is_notification(line: bytes) -> bool:
    """Whether it is more than the acknowledgement, or the end, of a request that the first process has as well."""
    try:
        message = parse_response(line)
    except BadEnvelope:
        return False
    return message.kind == "notification" and message.method != ACKNOWLEDGED
