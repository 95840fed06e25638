"""`health_based`: the healthier of two random endpoints (design §3.2).

Both are drawn by weight, and may be the same one. So even the least healthy of n endpoints keeps `1/n²` of the calls
(with equal weights), by which its score can recover; and if all are equally healthy, the shares follow the weights.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from mcppool.policy.balancing.prepared import Prepared
from mcppool.policy.balancing.shares import Shares
from mcppool.policy.balancing.strategy import C


class HealthBased:
    """Power of two choices over the health score."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._random = (rng or random.Random()).random
        self._shares = Prepared(Shares)

    def pick(self, candidates: Sequence[C], now: float, key: bytes | None = None) -> C:  # noqa: ARG002 (the protocol's)
        """The one with the higher score."""
        shares = self._shares.of(candidates)
        a, b = candidates[shares.draw(self._random())], candidates[shares.draw(self._random())]
        return a if a.score >= b.score else b
