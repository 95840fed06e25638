"""`weighted_round_robin`: each gets its share, spread as evenly as possible.

Earliest deadline first, as in Envoy: a heap holds the virtual time of each candidate's next turn, `1 / weight` apart; a
pick takes the earliest, O(log n). nginx's smooth algorithm gives the same kind of sequence, at O(n) per pick.

A new tuple of candidates begins at a random place of that endless sequence: the first turn is drawn by weight, the
others have a random part of their time left. So each single pick has exactly the shares of the weights, even if the
tuple is replaced soon (as during slow start) and although a retry picks only once from its own tuple; and several
gateways do not all begin with the same endpoint.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Sequence
from typing import Any

from mcppool.policy.balancing.prepared import Prepared
from mcppool.policy.balancing.shares import Shares
from mcppool.policy.balancing.strategy import C

Turn = tuple[float, int, float]
"""Virtual time, index of the candidate, time until the turn after this one."""


class WeightedRoundRobin:
    """Smooth turns by weight."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._random = (rng or random.Random()).random
        self._turns = Prepared(self._prepare)

    def pick(self, candidates: Sequence[C], now: float, key: bytes | None = None) -> C:  # noqa: ARG002 (the protocol's)
        """The next candidate in turn."""
        turns = self._turns.of(candidates)
        at, index, period = turns[0]
        heapq.heapreplace(turns, (at + period, index, period))
        return candidates[index]

    def _prepare(self, candidates: Sequence[Any]) -> list[Turn]:
        first = Shares(candidates).draw(self._random())
        nobody = not any(c.weight > 0 for c in candidates)
        turns = []
        for index, candidate in enumerate(candidates):
            if candidate.weight > 0 or nobody:
                period = 1.0 if nobody else 1.0 / candidate.weight
                turns.append((0.0 if index == first else self._random() * period, index, period))
        heapq.heapify(turns)
        return turns
