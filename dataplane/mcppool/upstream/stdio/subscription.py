"""`subscriptions/listen` at a replica that runs several processes: notifications of each process reach the caller.

The first process gets the request, acknowledges it and ends it. Each further process that serves calls gets the same
request under another id, before its first call; only its notifications are passed on.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress

from mcppool.supervision import guard
from mcppool.turns import in_turns
from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.stdio.conversation import Conversation
from mcppool.upstream.stdio.pending_request import PendingRequest
from mcppool.upstream.subscription_stream import ACKNOWLEDGED
from mcppool.upstream.timeouts import within
from mcppool.wire.bulk import BULK, copy, outline_of
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.rpc_request import RpcRequest
from mcppool.wire.rpc_response import parse_response

ACKNOWLEDGED_WITHIN = 5.0  # seconds that the first call of a further process waits until that process listens


class Subscription:
    """One active `subscriptions/listen`; `pending` is its request at the first process."""

    def __init__(self, first: Conversation, pending: PendingRequest, request: RpcRequest, body: bytes) -> None:
        self._first = first
        self._pending = pending
        self._request = request
        self._body = body
        self._listening: set[asyncio.Task[None]] = set()

    async def join(self, worker: Conversation) -> None:
        """Make a further process listen, too; returns once it does."""
        try:
            body = self._body
            if len(body) > BULK:  # the other processes get it with other ids
                body = await in_turns(copy(body, outline_of(body)))
            id, pending = await worker.begin(self._request, body)
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
        """The caller no longer listens."""
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
    """Whether it is a notification, and not an acknowledgement or the end of a request, which the first process sends,
    too."""
    try:
        message = parse_response(line)
    except BadEnvelope:
        return False
    return message.kind == "notification" and message.method != ACKNOWLEDGED
