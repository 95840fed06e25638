"""`random`: random, in proportion to the weights."""

from __future__ import annotations

import random
from collections.abc import Sequence

from mcppool.policy.balancing.prepared import Prepared
from mcppool.policy.balancing.shares import Shares
from mcppool.policy.balancing.strategy import C


class RandomChoice:
    """Each pick is independent of all others."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._random = (rng or random.Random()).random
        self._shares = Prepared(Shares)

    def pick(self, candidates: Sequence[C], now: float, key: bytes | None = None) -> C:  # noqa: ARG002 (the protocol's)
        """One drawn by weight."""
        return candidates[self._shares.of(candidates).draw(self._random())]
