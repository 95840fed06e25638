"""A histogram as a plain object: one search and two additions for each value."""

from __future__ import annotations

from bisect import bisect_left
from time import time
from typing import NamedTuple


class Exemplar(NamedTuple):
    """The trace of one value of a histogram; `at` is wall-clock time in seconds."""

    value: float
    trace_id: str
    span_id: str
    at: float


class Histogram:
    """Counts of values by bucket, and their sum.

    `counts[i]` is the number of values in (bounds[i-1], bounds[i]]; the last one, past all bounds, is +Inf's.
    `exemplars` are by bucket, None while no value was traced.
    """

    __slots__ = ("bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.exemplars: dict[int, Exemplar] | None = None
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value, in the unit of the bounds."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def exemplify(self, value: float, trace_id: str, span_id: str) -> None:
        """Name a trace as the example of an observed value: the latest one of each bucket is kept."""
        if self.exemplars is None:
            self.exemplars = {}
        self.exemplars[bisect_left(self.bounds, value)] = Exemplar(value, trace_id, span_id, time())

    @property
    def count(self) -> int:
        """Number of observed values."""
        return sum(self.counts)
