"""Load-balancing strategies, one per file. A new one is its file and one line in `STRATEGIES`."""

from __future__ import annotations

import random
from collections.abc import Callable

from mcppool.policy.balancing.consistent_hash import ConsistentHash
from mcppool.policy.balancing.health_based import HealthBased
from mcppool.policy.balancing.least_connections import LeastConnections
from mcppool.policy.balancing.random_choice import RandomChoice
from mcppool.policy.balancing.response_time_based import ResponseTimeBased
from mcppool.policy.balancing.round_robin import RoundRobin
from mcppool.policy.balancing.strategy import Candidate, Strategy
from mcppool.policy.balancing.weighted_round_robin import WeightedRoundRobin

__all__ = ["STRATEGIES", "Candidate", "Strategy", "make_strategy"]

STRATEGIES: dict[str, Callable[[random.Random], Strategy]] = {
    "round_robin": RoundRobin,
    "least_connections": LeastConnections,
    "weighted_round_robin": WeightedRoundRobin,
    "health_based": HealthBased,
    "response_time_based": ResponseTimeBased,
    "random": RandomChoice,
    "consistent_hash": ConsistentHash,
}


def make_strategy(name: str, rng: random.Random | None = None) -> Strategy:
    """A fresh strategy by its name in the configuration; `rng` makes its choices repeatable."""
    return STRATEGIES[name](rng or random.Random())
