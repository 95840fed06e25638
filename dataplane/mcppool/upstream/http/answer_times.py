"""The times by which the parts of one answer must have come.

No timer runs for them: the connection keeps the next one as its `deadline`, and the pool's sweep compares that with the
time.
"""

from __future__ import annotations

from time import monotonic
from typing import Protocol

from mcppool.upstream.failures import WHOLE_CALL
from mcppool.upstream.http.response import NEVER


class Clock(Protocol):
    """A caller's clock, which may stand still: the server is not charged for that time."""

    def stood_still(self, now: float) -> float:
        """Seconds that it has stood still so far."""


class AnswerTimes:
    """The times of one exchange."""

    __slots__ = ("_clock", "_end", "_patience", "_stood", "_stream_idle", "_total")

    def __init__(self) -> None:
        self._patience = self._stream_idle = self._total = self._end = NEVER
        self._clock: Clock | None = None
        self._stood = 0.0  # the clock's total standstill when the deadline was set

    def begin(
        self, now: float, first_byte: float, stream_idle: float, total: float, end: float, clock: Clock | None
    ) -> float:
        """Begin an exchange, whose times mean the same as those of `Connection.request`, and return its deadline."""
        self._patience = first_byte - now
        self._stream_idle = stream_idle
        self._total = total
        self._end = end
        self._clock = clock
        if clock is not None:
            self._stood = clock.stood_still(now)
        return first_byte if first_byte < total else total

    def end(self) -> None:
        """End the exchange. The times of a call die with it: a connection that is idle for long would give them back
        when they have left the processor's caches."""
        self._patience = self._total = self._end = NEVER
        self._clock = None

    def after_held_part(self) -> float:
        """Return the deadline after a part of an answer that is held until it is whole."""
        return min(monotonic() + self._patience, self._total)

    def after_streamed_part(self) -> float:
        """Return the deadline after a part of a stream: its idle time-out starts again."""
        now = monotonic()
        if self._clock is not None:
            self._stood = self._clock.stood_still(now)
        return min(now + self._stream_idle, self._end)

    def standstill(self) -> float:
        """Return the seconds that the clock has stood still since the deadline was set, and grant them to the
        whole call."""
        if self._clock is None:
            return 0.0
        stood = self._clock.stood_still(monotonic()) - self._stood
        if stood > 0.0:
            self._stood += stood
            self._total += stood
        return stood

    def passed(self, deadline: float, *, streaming: bool) -> str:
        """Return the name of the time limit that `deadline` stood for."""
        if deadline >= (self._end if streaming else self._total):
            return WHOLE_CALL
        return "timeouts.stream_idle" if streaming else "timeouts.first_byte"
