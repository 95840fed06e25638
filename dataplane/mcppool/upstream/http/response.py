"""An endpoint's answer, as the code above a connection reads it."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Final, Protocol

from mcppool.upstream.failures import AttemptFailed

NEVER: Final = float("inf")


class ResponseSource(Protocol):
    """The connection that an answer comes on."""

    loop: asyncio.AbstractEventLoop
    deadline: float
    waiting_since: float
    held: bool

    def pause(self) -> None:
        """Read no more until the reader asks for it."""

    def resume(self) -> None:
        """Read on: the reader has passed on all parts and waits for the next."""


class AnswerTaker(Protocol):
    """Gets an answer in the callbacks of its connection, without a task that awaits it. Its methods raise nothing."""

    def answered(self, response: Response) -> None:
        """The answer has come: whole, or the first part of a stream."""

    def went_on(self) -> None:
        """More of a followed stream has come, or its end, or a failure."""

    def failed(self, failure: AttemptFailed) -> None:
        """There is no answer."""


class Response:
    """One answer, once its `status` and `headers` (names in lower case) have come.

    The `body` of a `whole` answer is complete; any other body is read with `next_chunk`, even if it is `complete` by
    now. `headers` lack Content-Length if the answer before had the same head. `chunks` are the parts of the body that
    wait for the reader, `size` is their length in bytes. `follower` is told once that a stream has gone on, in place of
    a reader.
    """

    __slots__ = (
        "_connection", "_waiter", "body", "chunks", "complete", "content_type", "failure", "follower", "headers",
        "size", "status", "whole",
    )  # fmt: skip

    def __init__(self, connection: ResponseSource) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.content_type = b""
        self.body: bytes = b""
        self.complete = False
        self.whole = False
        self.failure: AttemptFailed | None = None
        self._connection = connection
        self.chunks: list[bytes] = []
        self.size = 0
        self._waiter: asyncio.Future[None] | None = None
        self.follower: AnswerTaker | None = None

    def header(self, name: bytes) -> bytes | None:
        """The first value of a header, by its lower-case name."""
        for key, value in self.headers:
            if key == name:
                return value
        return None

    async def next_chunk(self) -> bytes:
        """Return the next part of a streamed body, `b""` at its end.

        Raises AttemptFailed if the stream breaks or is silent for too long.
        """
        while not self.chunks:
            if self.failure is not None:
                raise self.failure
            if self.complete:
                return b""
            self._connection.resume()  # not before: a client that reads slowly needs one part in memory, not two
            self._waiter = self._connection.loop.create_future()
            try:
                await self._waiter
            finally:
                self._waiter = None
        return self.take()

    def take(self) -> bytes:
        """Return the parts of a streamed body that wait for the reader, `b""` if none does."""
        chunks = self.chunks
        if not chunks:
            return b""
        part = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self.size = 0
        return part

    def pause(self) -> None:
        """Read no more until the next call of `next_chunk` that finds no part."""
        self._connection.pause()

    def join_parts(self) -> None:
        """Join the waiting parts: many small ones cost more memory than their bytes."""
        whole = b"".join(self.chunks)
        self.chunks.clear()
        self.chunks.append(whole)

    def hold(self, held: bool) -> None:
        """Tell whether the gateway still holds the whole stream: then its call may still go to another endpoint."""
        self._connection.held = held
        self._connection.waiting_since = monotonic() if held else NEVER

    def end_within(self, seconds: float) -> None:
        """Expect the end of the stream within `seconds`; the rest of it is not needed."""
        if not self.complete:
            self._connection.deadline = min(self._connection.deadline, monotonic() + seconds)

    def wake(self) -> None:
        """Wake the reader of the stream."""
        follower = self.follower
        if follower is not None:
            self.follower = None
            follower.went_on()
        elif self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
