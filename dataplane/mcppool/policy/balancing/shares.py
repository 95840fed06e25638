"""Draws by weight: cumulative sums, and a bisection for each draw."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate

from mcppool.policy.balancing.strategy import Candidate


class Shares:
    """The cumulative weights of a tuple of candidates. If all weights are 0, all candidates are equal."""

    __slots__ = ("_last", "_sums", "_total")

    def __init__(self, candidates: Sequence[Candidate]) -> None:
        self._sums = list(accumulate(c.weight for c in candidates))
        if self._sums[-1] <= 0:
            self._sums = list(accumulate(1.0 for _ in candidates))
        self._total = self._sums[-1]
        self._last = len(candidates) - 1

    def draw(self, share: float) -> int:
        """The index of the candidate whose part contains `share`, a number from 0 to 1. O(log n)."""
        index = bisect_right(self._sums, share * self._total)
        return index if index < self._last else self._last
