"""Passes on an event that is too large to wait for, if it is the answer and the gateway needs nothing of it."""

from __future__ import annotations

from collections.abc import Callable

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.response.large_answer import LargeAnswer
from mcppool.turns import in_turns
from mcppool.upstream.failures import BadAnswer
from mcppool.upstream.http.response import Response
from mcppool.wire.large_event import EventEnd, data_begins, data_only


class LargeEvent:
    """One event in parts. `ended`: its end has come from the server. `open`: its beginning has gone to the client, its
    end has not. `id` is its event id."""

    def __init__(self, attempt: Attempt, response: Response, beginning: bytes, at: int, id: str | None) -> None:
        self._attempt = attempt
        self._response = response
        self._answer = LargeAnswer(attempt)
        self._begin = at
        self._end = EventEnd()
        self._write: Callable[[bytes], None] = attempt.reply.write
        self._last = b""  # the last byte that has gone to the client
        self._first = self._answer.begin_event(beginning, at)
        self.id = id
        self.ended = False
        self.open = False

    @classmethod
    def of(cls, attempt: Attempt, response: Response, beginning: bytes) -> LargeEvent | None:
        """The event with this beginning; None if it must be read whole. Raises BadAnswer if it answers another
        request."""
        found = data_begins(beginning)
        event = None if found is None else cls(attempt, response, beginning, *found)
        return None if event is None or event._first is None else event

    async def run(self, begin: Callable[[bytes], None]) -> bytes:
        """Pass the event on; `begin` takes the first part. Return the bytes behind it.

        If the stream ends before it, it has not `ended`. Raises AttemptFailed if the stream breaks.
        """
        reply, answer, end = self._attempt.reply, self._answer, self._end
        most = self._attempt.context.settings.spec.limits.max_answer
        self._write = begin
        part, at, size = self._first or b"", self._begin, 0
        self._first = None  # it is in memory until the client has taken it, no longer
        while part:
            stop = -1 if end.goes_on(part, at) else await in_turns(end.find(part, at))
            rest = b""
            if stop >= 0:
                part, rest = part[:stop], part[stop:]
            size += len(part)
            if size > most:
                raise BadAnswer(f"an event of the stream is longer than {most} bytes")
            part = answer.pass_on(part)
            self.ended = stop >= 0
            self._pass_on(part, last=self.ended and not answer.held_back)
            part, at = b"", 0
            if self.ended:
                await reply.drain()
                return rest
            self._response.pause()
            await reply.drain()
            part = await self._response.next_chunk()
        self.ended = end.ended
        self._pass_on(b"", last=self.ended and not answer.held_back)
        return b""

    def _pass_on(self, part: bytes, *, last: bool) -> None:
        reply = self._attempt.reply
        if part:
            self._attempt.outcome.size += len(part)
            self._write(part)
            self._write = reply.write
            self._last = part[-1:]
        self.open = bool(self._last) and not last
        reply.within_event(self.open)

    def accept(self) -> bool:
        """Accept the event as the answer, and pass on the rest of it; False if it is none: its last lines may give it
        another type.

        Raises BadAnswer if it answers another request.
        """
        answer, renamed = self._answer, self._end.renamed
        self._pass_on(answer.held_back if renamed else answer.end(data_only(answer.tail)), last=True)
        return not renamed

    @property
    def void(self) -> bytes:
        """Bytes that end the event in a way that clients do not take it for a message."""
        return b"%bevent: incomplete\n\n" % (b"" if self._last in (b"\n", b"\r") else b"\n")
