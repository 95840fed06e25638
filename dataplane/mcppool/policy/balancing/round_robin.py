"""`round_robin`: one after the other.

Each tuple of candidates has a rotation of its own, with a random start. If a retry, which picks from fewer candidates,
advanced the common rotation, calls and retries could fall into step, and calls would try a failing endpoint first each
time.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any

from mcppool.policy.balancing.prepared import Prepared
from mcppool.policy.balancing.strategy import C


class RoundRobin:
    """Each candidate in turn; weights do not count."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._random = (rng or random.Random()).random
        self._next = Prepared(self._anywhere)

    def pick(self, candidates: Sequence[C], now: float, key: bytes | None = None) -> C:  # noqa: ARG002 (the protocol's)
        """The candidate after the last one."""
        place = self._next.of(candidates)
        index = place[0]
        place[0] = (index + 1) % len(candidates)
        return candidates[index]

    def _anywhere(self, candidates: Sequence[Any]) -> list[int]:
        return [int(self._random() * len(candidates))]
