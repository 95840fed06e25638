"""Recent calls of a pool as clients see them: answered, or failed by a fault of a server or of the gateway.

The gateway's own checks do not count. A server's error answer is an answer.
"""

from __future__ import annotations

from math import log

from mcppool.policy.decaying_rate import DecayingRate

HALF_LIFE = 10.0
"""Seconds after which a call counts half for the rate."""

ALL_FAIL = 5
"""Failed calls in a row, without an answer in between, that count as all calls failing."""

FORGOTTEN = 60.0
"""Seconds without a call after which earlier failures no longer count."""


class CallRecord:
    """The record of one pool; O(1) in time and memory."""

    __slots__ = ("_last", "_rate", "count", "failed_in_a_row", "failures", "why")

    def __init__(self) -> None:
        self._rate = DecayingRate(HALF_LIFE)
        self._last = 0.0
        self.count = 0
        """All calls so far, failed ones included."""
        self.failures = 0
        self.failed_in_a_row = 0
        self.why = ""

    def answered(self, now: float) -> None:
        """A call was answered."""
        self._rate.observe(True, now)
        self.count += 1
        self.failed_in_a_row = 0

    def failed(self, now: float, why: str) -> None:
        """A call failed; `why` is for people."""
        self._rate.observe(False, now)
        self.count += 1
        self.failures += 1
        self._last = now
        self.failed_in_a_row += 1
        self.why = why

    def all_fail(self, now: float) -> bool:
        """Whether the pool's calls all fail."""
        return self.failed_in_a_row >= ALL_FAIL and now - self._last < FORGOTTEN

    def per_second(self, now: float) -> float:
        """Recent calls per second."""
        return self._rate.trials(now) * log(2) / HALF_LIFE
