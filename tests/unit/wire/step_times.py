"""How long the steps of a reading take, without what other load adds to them."""

from __future__ import annotations

from collections.abc import Iterator
from time import thread_time


def longest_step(*readings: Iterator[object]) -> float:
    """Seconds of processor time of the longest step, of several readings of the same message: what counts of each step
    is its shortest time, because another process on the core, or a collection of garbage, only adds to it."""
    return max(map(min, zip(*map(_times, readings), strict=True)))


def _times(steps: Iterator[object]) -> list[float]:
    over, found = object(), []
    while True:
        began = thread_time()
        ended = next(steps, over)
        found.append(thread_time() - began)
        if ended is over:
            return found
