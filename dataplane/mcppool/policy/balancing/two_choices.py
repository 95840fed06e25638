"""Power of two choices (Mitzenmacher 2001): draws the two candidates to compare."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mcppool.policy.balancing.strategy import C


def draw_two(candidates: Sequence[C], random: Callable[[], float]) -> tuple[C, C]:
    """Two distinct candidates, each pair equally likely; there must be at least two."""
    count = len(candidates)
    first = int(random() * count)
    second = int(random() * (count - 1))
    if second >= first:
        second += 1
    return candidates[first], candidates[second]
