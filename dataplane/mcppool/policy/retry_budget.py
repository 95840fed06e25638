"""The retry budget: retries may add a share of the calls, and a few in any case (Finagle; design §4.5).

Over a sliding window of `WINDOW` seconds, retries are allowed while they are fewer than `max(percent / 100 * started,
min_per_second * WINDOW)`. A call counts when it starts, or a slow outage would look healthy.
"""

from __future__ import annotations

SLOTS = 10  # of a second each
WINDOW = float(SLOTS)


class RetryBudget:
    """Counts of started calls and of paid retries in ten slots of a second each; O(1) per call."""

    __slots__ = ("_epoch", "_min", "_percent", "_retries", "_started", "_total_retries", "_total_started")

    def __init__(self, percent: int, min_per_second: int) -> None:
        self._percent = percent
        self._min = min_per_second
        self._epoch = 0
        self._started = [0] * SLOTS
        self._retries = [0] * SLOTS
        self._total_started = 0
        self._total_retries = 0

    def configure(self, percent: int, min_per_second: int) -> None:
        """Apply changed limits and keep the counts."""
        self._percent = percent
        self._min = min_per_second

    def start(self, now: float) -> None:
        """A call begins."""
        if int(now) != self._epoch:
            self._advance(now)
        self._started[self._epoch % SLOTS] += 1
        self._total_started += 1

    def has_left(self, now: float) -> bool:
        """Whether the budget pays for one more retry."""
        self._advance(now)
        return self._total_retries < self.allowed

    def pay(self, now: float) -> bool:
        """Take one retry out of the budget; False if it is exhausted."""
        if not self.has_left(now):
            return False
        self._retries[self._epoch % SLOTS] += 1
        self._total_retries += 1
        return True

    @property
    def allowed(self) -> float:
        """Retries that the window allowed at the last look."""
        return max(self._percent / 100 * self._total_started, self._min * WINDOW)

    def _advance(self, now: float) -> None:
        epoch = int(now)
        behind = epoch - self._epoch
        if behind <= 0:
            return
        for step in range(1, min(behind, SLOTS) + 1):
            slot = (self._epoch + step) % SLOTS
            self._total_started -= self._started[slot]
            self._total_retries -= self._retries[slot]
            self._started[slot] = self._retries[slot] = 0
        self._epoch = epoch
