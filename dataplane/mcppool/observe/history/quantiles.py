"""Quantiles of values that were counted in buckets."""

from __future__ import annotations

from collections.abc import Sequence


def quantile(bounds: Sequence[float], counts: Sequence[int], share: float) -> float | None:
    """An estimate of the value below which `share` (0 to 1) of the values lie; None without values.

    `counts[i]` is the number of values in (bounds[i-1], bounds[i]]; the last one, past all bounds, has no upper bound.
    The values of a bucket count as evenly spread over it, and those of the last one as equal to the last bound. So the
    estimate is off by at most one bucket, and for values past all bounds it is a lower bound.
    """
    total = sum(counts)
    if not total:
        return None
    wanted = share * total
    below = 0
    for at, count in enumerate(counts[:-1]):
        if count and below + count >= wanted:
            lower = bounds[at - 1] if at else 0.0
            return lower + (bounds[at] - lower) * max(0.0, wanted - below) / count
        below += count
    return bounds[-1]
