"""`response_time_based`: power of two choices over peak EWMA × (in flight + 1) (Finagle, tower; design §3.2).

The cheaper of two distinct random candidates is taken; with different weights each is taken with a probability in
proportion to `weight / cost`, as in `least_connections`. An endpoint without history costs almost nothing while it is
idle and more than any other while it has a request in flight: it gets one call at a time until it has answered, and is
not flooded.
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from mcppool.policy.balancing.strategy import C, Candidate
from mcppool.policy.balancing.two_choices import draw_two

UNKNOWN = 1e6  # seconds; Finagle's penalty
FREE = 1e-12  # seconds; less than any latency, and still divisible by a weight


class ResponseTimeBased:
    """The one of two that will probably answer sooner."""

    def __init__(self, rng: random.Random | None = None) -> None:
        self._random = (rng or random.Random()).random

    def pick(self, candidates: Sequence[C], now: float, key: bytes | None = None) -> C:  # noqa: ARG002 (the protocol's)
        """One of two, or the only one."""
        if len(candidates) == 1:
            return candidates[0]
        a, b = draw_two(candidates, self._random)
        cost_a, cost_b = _cost(a, now), _cost(b, now)
        if a.weight == b.weight:
            return a if cost_a <= cost_b else b
        share_a, share_b = a.weight * cost_b, b.weight * cost_a
        return a if self._random() * (share_a + share_b) < share_a else b


def _cost(candidate: Candidate, now: float) -> float:
    estimate = candidate.latency.at(now)
    return estimate * (candidate.active + 1) if estimate else UNKNOWN * candidate.active or FREE
