"""The retry budget: retries may add a share of the calls, and a few in any case (Finagle; design §4.5).

Over a sliding window of `WINDOW` seconds, retries are allowed while they are fewer than `max(percent / 100 * started,
min_per_second * WINDOW)`. A call counts when it starts, or a slow outage would look healthy.

One client may take a share of them while others call, too: a client whose calls all fail leaves retries to the others.
"""

from __future__ import annotations

from collections import Counter
from typing import Final

SLOTS: Final = 10  # of a second each
WINDOW: Final = float(SLOTS)


class RetryBudget:
    """Counts of started calls and of paid retries in ten slots of a second each; O(1) per call."""

    __slots__ = (
        "_by_client", "_client", "_epoch", "_min", "_percent", "_retries", "_share", "_shared_until", "_started",
        "_total_retries", "_total_started", "empty",
    )  # fmt: skip

    def __init__(self, percent: int, min_per_second: int, share: int = 100) -> None:
        self._percent = percent
        self._min = min_per_second
        self._share = share
        self._client: str | None = None  # of the last call
        self._shared_until = 0.0  # the calls of the window before are of several clients
        self._by_client: list[Counter[str]] = [Counter() for _ in range(SLOTS)]
        self._epoch = 0
        self._started = [0] * SLOTS
        self._retries = [0] * SLOTS
        self._total_started = 0
        self._total_retries = 0
        self.empty = 0

    def configure(self, percent: int, min_per_second: int, share: int = 100) -> None:
        """Apply changed limits and keep the counts."""
        self._share = share
        self._percent = percent
        self._min = min_per_second

    def start(self, now: float, client: str = "") -> None:
        """A call of `client` begins."""
        if client != self._client:
            if self._client is not None:
                self._shared_until = now + WINDOW
            self._client = client
        if int(now) != self._epoch:
            self._advance(now)
        self._started[self._epoch % SLOTS] += 1
        self._total_started += 1

    def has_left(self, now: float, client: str = "") -> bool:
        """Whether the budget pays for one more retry of `client`."""
        self._advance(now)
        if self._total_retries >= self.allowed:
            self.empty += 1
            return False
        if now >= self._shared_until:
            return True
        return sum(slot[client] for slot in self._by_client) < self._share / 100 * self.allowed

    def pay(self, now: float, client: str = "") -> bool:
        """Take one retry of `client` out of the budget; False if it, or the client's share, is exhausted."""
        if not self.has_left(now, client):
            return False
        self._by_client[self._epoch % SLOTS][client] += 1
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
            self._by_client[slot].clear()
        self._epoch = epoch
