"""Power of two choices (Mitzenmacher 2001): which two candidates are compared."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mcppool.policy.balancing.strategy import C


def draw_two(candidates: Sequence[C], random: Callable[[], float]) -> tuple[C, C]:
    """Two distinct candidates, each pair as likely as any other; there must be two at least."""
    count = len(candidates)
    first = int(random() * count)
    second = int(random() * (count - 1))
    if second >= first:
        second += 1
    return candidates[first], candidates[second]
