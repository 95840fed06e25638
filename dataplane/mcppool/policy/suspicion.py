"""When a call has waited so long that its endpoint is checked: `outlier_detection.suspect_after = "auto"`.

Twice the 99th percentile of the latencies of the tools at work there, of the last minutes, within bounds. A tool that
answers in milliseconds betrays a hung replica after half a second; one that needs a quarter of a minute is not
suspected at each call. The endpoint's mean decides where a tool is too little known.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Final

LEAST: Final = 0.5
"""Lower bound in seconds: pauses of a healthy process (garbage collection, a busy machine) are shorter."""
LEAST_UNKNOWN: Final = 1.0
"""Lower bound in seconds where no tool at work is known."""
MOST: Final = 30.0
"""Upper bound in seconds: an endpoint whose calls are slow may hang, too."""
FACTOR: Final = 2.0
QUANTILE: Final = 0.99
FACTOR_OF_MEAN: Final = 4.0
ENOUGH: Final = 20.0
"""Weight of the calls of a tool below which its latencies are unknown."""
KEPT: Final = 0.9
"""Share of its weight that a call keeps from one `take` to the next: one in ten seconds halves it in about a
minute."""


class RecentLatencies:
    """The latencies of one tool in the last minutes, from a histogram that only grows.

    `bounds` are the upper bounds of its buckets, in seconds. `take` is called at regular times.
    """

    __slots__ = ("_bounds", "_taken", "_weights")

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._taken = [0] * (len(bounds) + 1)
        self._weights = [0.0] * (len(bounds) + 1)

    def take(self, counts: Sequence[int]) -> None:
        """Take over the counts of the buckets; the last one has the values past all bounds."""
        weights, taken = self._weights, self._taken
        for number, count in enumerate(counts):
            weights[number] = weights[number] * KEPT + count - taken[number]
        self._taken = list(counts)

    def high(self) -> float | None:
        """The upper bound of the bucket with the 99th percentile, in seconds; `MOST` past all bounds; None if too
        little is known."""
        total = sum(self._weights)
        if total < ENOUGH:
            return None
        below = 0.0
        for bound, weight in zip(self._bounds, self._weights, strict=False):
            below += weight
            if below >= QUANTILE * total:
                return bound
        return MOST


def suspect_after(high: Collection[float | None], mean: float) -> float:
    """Seconds without a first byte after which an endpoint is checked.

    `high` has `RecentLatencies.high` of each tool at work there; `mean` is the mean latency of the endpoint, 0 if it is
    unknown.
    """
    known = [seconds for seconds in high if seconds is not None]
    if known and len(known) == len(high):
        return min(max(LEAST, FACTOR * max(known)), MOST)
    return min(max(LEAST_UNKNOWN, FACTOR_OF_MEAN * mean, FACTOR * max(known, default=0.0)), MOST)
