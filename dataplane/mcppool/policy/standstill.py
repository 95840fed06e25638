"""Time in which this process stood still: stopped by a signal, in a suspended machine, or kept from its processor.

When it goes on, answers that came meanwhile wait in sockets, and every deadline has passed. So a check of deadlines
skips one round then, and the event loop first reads the waiting data.
"""

from __future__ import annotations

from typing import Final

LATE: Final = 0.5
"""Lateness in seconds of a round to count as one after a standstill."""


class Standstill:
    """The state of one check with a period of `period` seconds, from `now` on (monotonic seconds)."""

    __slots__ = ("_due", "_period", "_spared")

    def __init__(self, period: float, now: float) -> None:
        self._period = period
        self._due = now + period
        self._spared = False

    def spares(self, now: float) -> bool:
        """Whether to skip the round that is due now; never two in a row."""
        self._spared = now - self._due > LATE and not self._spared
        self._due = now + self._period
        return self._spared
