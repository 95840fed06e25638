"""Passes on an event that is too large to wait for, if it is the answer and the gateway needs nothing of it."""

from __future__ import annotations

from collections.abc import Callable

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.response.large_answer import TAIL, LargeAnswer
from mcppool.turns import in_turns
from mcppool.upstream.failures import BadAnswer
from mcppool.upstream.http.response import Response
from mcppool.wire.large_event import EventEnd, data_begins


class LargeEvent:
    """One event in parts. `open`: its beginning has gone to the client, its end has not. `id` is its event id."""

    def __init__(self, attempt: Attempt, response: Response, beginning: bytes, at: int, id: str | None) -> None:
        self._attempt = attempt
        self._response = response
        self._answer = LargeAnswer(attempt)
        self._begin = at
        self._end = EventEnd()
        self._tail = b""  # the last bytes so far: they may have the id
        self._first = self._answer.begin_event(beginning, at)
        self.id = id
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

        If the stream ends before it, it is still `open`. Raises AttemptFailed if the stream breaks.
        """
        reply, outcome, end = self._attempt.reply, self._attempt.outcome, self._end
        most = self._attempt.context.settings.spec.limits.max_answer
        part, at, write = self._first or b"", self._begin, begin
        self._first = None  # it is in memory until the client has taken it, no longer
        while part:
            stop = -1 if end.goes_on(part, at) else await in_turns(end.find(part, at))
            rest = b""
            if stop >= 0:
                part, rest = part[:stop], part[stop:]
            outcome.size += len(part)
            if outcome.size > most:
                raise BadAnswer(f"an event of the stream is longer than {most} bytes")
            self._tail = part[-TAIL:] if len(part) >= TAIL else (self._tail + part)[-TAIL:]
            write(part)
            self.open = stop < 0
            reply.within_event(self.open)
            part, at, write = b"", 0, reply.write
            if stop >= 0:
                await reply.drain()
                return rest
            self._response.pause()
            await reply.drain()
            part = await self._response.next_chunk()
        self.open = not end.ended
        return b""

    def accept(self) -> bool:
        """Accept the passed event as the answer; False if it was none: its last lines may give it another type.

        Raises BadAnswer if it answers another request.
        """
        if self._end.renamed:
            return False
        lines = self._tail.splitlines()
        # The first line is the end of a line of data, or short, so that its field does not matter.
        more = [line[5:] for line in lines[1:] if line.startswith(b"data:")]
        self._answer.end(b"\n".join([*lines[:1], *more]))
        return True

    @property
    def void(self) -> bytes:
        """Bytes that end the event in a way that clients do not take it for a message."""
        return b"%bevent: incomplete\n\n" % (b"" if self._end.at_line_start else b"\n")
