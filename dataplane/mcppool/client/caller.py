"""Puts calls into the pipeline, each in a task of its own, so that closing the pool ends them all."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from time import monotonic

from mcppool.client.answer import Answer, Answered
from mcppool.client.errors import CallFailed
from mcppool.client.messages import NO_MESSAGE, stream_lines
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.sessions.session import Session
from mcppool.wire.era import Era
from mcppool.wire.errors import Reason
from mcppool.wire.rpc_request import parse_request

RECONNECT = 1.0  # seconds before resuming a stream, if the server names no time (as in the SDKs)
MAX_RETURNS = 5  # upper bound on resumptions for one answer


class Caller:
    """Calls of one running pool that end together. `ids` numbers them, together with those of other callers of the
    pool."""

    def __init__(self, pool: ServerPool, ids: Iterator[int]) -> None:
        self.pool = pool
        self._ids = ids
        self._tasks: set[asyncio.Task[Outcome]] = set()
        self._closed = False

    def next_id(self) -> int:
        """A JSON-RPC id that no other request of this pool has."""
        return next(self._ids)

    async def exchange(self, call: Call, answer: Answer) -> Outcome:
        """Serve `call` into `answer`. Cancelling this cancels it upstream.

        Raises CallFailed if the pool is closed before the end.
        """
        if self._closed:
            raise CallFailed(Reason.SHUTTING_DOWN, delivered="no", attempts=0, message="The pool is closed")
        task = asyncio.create_task(self.pool.serve(call, answer), name=f"call {call.request.method or call.verb!r}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            return await task
        except asyncio.CancelledError:
            caller = asyncio.current_task()
            if self._closed and caller is not None and not caller.cancelling():
                raise CallFailed(
                    Reason.SHUTTING_DOWN, delivered="unknown", attempts=1, message="The pool was closed meanwhile"
                ) from None
            raise

    async def send(
        self, body: bytes, lines: bytes, era: Era, answer: Answer, *,
        session: Session | None = None, timeout: float | None = None,
    ) -> Outcome:  # fmt: skip
        """`exchange` for a message with its header lines."""
        request = parse_request(body)
        call = Call(request, body, lines, era, monotonic(), session=session, timeout=timeout)
        return await self.exchange(call, answer)

    async def listen(self, session: Session, version: str, answer: Answer, resume: str | None = None) -> None:
        """One GET stream of a session into `answer`, until the server ends it."""
        last = b"" if resume is None else b"last-event-id: %b\r\n" % resume.encode()
        lines = stream_lines(version)
        call = Call(NO_MESSAGE, b"", lines, Era.LEGACY, monotonic(), session=session, verb=b"GET", resume=last)
        await self.exchange(call, answer)

    async def come_back(self, session: Session, version: str, answer: Answer) -> None:
        """Resume a stream that a legacy server ended before the answer, with `Last-Event-ID`."""
        for _ in range(MAX_RETURNS):
            if answer.body is not None or answer.last_id is None or answer.cut:
                return
            await asyncio.sleep(RECONNECT if answer.retry is None else answer.retry)
            answer.resumed = True
            try:
                await self.listen(session, version, answer, answer.last_id)
            except Answered:
                return

    def reaches(self, session: Session) -> bool:
        """Whether the session's server is reachable: a request that makes sense only there must not move the
        session."""
        endpoint = self.pool.endpoints.holder(session.endpoint)
        return endpoint is not None and not endpoint.lost

    async def end(self, session: Session, lines: bytes) -> None:
        """End a session at its server, unless the server is gone."""
        if self.reaches(session):
            call = Call(NO_MESSAGE, b"", lines, Era.LEGACY, monotonic(), session=session, verb=b"DELETE")
            await self.exchange(call, Answer())
        self.pool.sessions.end(session)

    async def close(self) -> None:
        """End all calls; each raises CallFailed in its caller."""
        self._closed = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
