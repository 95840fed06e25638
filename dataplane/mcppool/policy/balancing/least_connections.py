"""`least_connections`: power of two choices over requests in flight.

Envoy's least-request: two distinct candidates at random, and the one with fewer requests in flight per unit of weight is
taken. With equal weights this is the classic algorithm (Mitzenmacher 2001); with others the cost is
`(active + 1) / weight`, so that weights count as divisors of the cost (DESIGN §5).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from mcppool.policy.balancing.strategy import C


class LeastConnections:
    """The less loaded of two random candidates."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._random = (rng or random.Random()).random

    def pick(self, candidates: Sequence[C], now: float, key: bytes | None = None) -> C:  # noqa: ARG002 (the protocol's)
        """One of two; with a single candidate, that one."""
        count = len(candidates)
        if count == 1:
            return candidates[0]
        first = int(self._random() * count)
        second = int(self._random() * (count - 1))
        if second >= first:
            second += 1
        a, b = candidates[first], candidates[second]
        return a if (a.active + 1) * b.weight <= (b.active + 1) * a.weight else b
