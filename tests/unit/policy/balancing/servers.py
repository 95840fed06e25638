"""Candidates for strategies, and counts of their picks."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from mcppool.policy.balancing import Strategy, make_strategy
from mcppool.policy.peak_ewma import PeakEwma


@dataclass(eq=False)
class Server:
    key: str
    active: int = 0
    weight: float = 100.0
    full_weight: float = 100.0
    score: float = 1.0
    latency: PeakEwma = field(default_factory=PeakEwma)


def server(
    key: str, *, active: int = 0, weight: float = 100.0, score: float = 1.0, latency: float = 0.0, ramp: float = 1.0
) -> Server:
    """One candidate; `ramp` is how far it has come in its slow start."""
    made = Server(key, active, weight * ramp, weight, score)
    if latency:
        made.latency.observe(latency, 0.0)
    return made


def servers(weights: Sequence[float]) -> tuple[Server, ...]:
    return tuple(
        server(f"http://10.0.{i // 250}.{i % 250}:8000/mcp", weight=weight) for i, weight in enumerate(weights)
    )


def fresh(name: str, seed: int = 7) -> Strategy:
    return make_strategy(name, random.Random(seed))


def count(strategy: Strategy, candidates: Sequence[Server], picks: int, now: float = 0.0) -> list[int]:
    """How often each candidate is picked, in their order. Each pick has a key of its own."""
    counted = Counter(strategy.pick(candidates, now, b"%d" % number).key for number in range(picks))
    return [counted[candidate.key] for candidate in candidates]


def chi_square(counts: Sequence[int], expected: Sequence[float]) -> float:
    """Pearson's statistic, in standard deviations above its mean: beyond 5, they do not come from these shares."""
    total, whole = sum(counts), sum(expected)
    pairs = [(c, e * total / whole) for c, e in zip(counts, expected, strict=True) if e > 0]
    freedom = len(pairs) - 1
    if freedom == 0:
        return 0.0
    statistic = sum((c - e) ** 2 / e for c, e in pairs)
    return float((statistic - freedom) / (2 * freedom) ** 0.5)
