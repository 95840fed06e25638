"""The health score of an endpoint, 0 to 1 (design §3.4).

`0.7 * success + 0.3 * min(1, best / latency)`: the success rate of its attempts (half-life 10 s), and its latency
compared with the best in the pool. It is 0 while the endpoint is unavailable, and the mean of the others while nothing
is known about it, because it is new or has had no calls for long.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from mcppool.policy.decaying_rate import DecayingRate
from mcppool.policy.peak_ewma import PeakEwma

HALF_LIFE = 10.0  # seconds
SUCCESS_PART = 0.7
LATENCY_PART = 0.3
KNOWN = 0.05  # weight of an outcome after 43 s: below it, nothing is known


class Scored(Protocol):
    """The inputs of an endpoint's score, and the score."""

    score: float
    success: DecayingRate
    latency: PeakEwma

    @property
    def well(self) -> bool:
        """Whether its active checks pass and it is not ejected."""


def renew_scores(endpoints: Iterable[Scored], now: float) -> None:
    """Compute the scores of a pool's endpoints, O(n): done periodically, not for each call."""
    known: list[tuple[Scored, float]] = []
    unknown: list[Scored] = []
    for endpoint in endpoints:
        rate = endpoint.success.rate(now)
        if not endpoint.well:
            endpoint.score = 0.0
        elif rate is None or endpoint.success.trials(now) < KNOWN:
            unknown.append(endpoint)
        else:
            known.append((endpoint, rate))
    best = min((e.latency.estimate for e, _ in known if e.latency.estimate > 0), default=0.0)
    total = 0.0
    for endpoint, rate in known:
        latency = endpoint.latency.estimate
        endpoint.score = SUCCESS_PART * rate + LATENCY_PART * (min(1.0, best / latency) if latency > 0 else 1.0)
        total += endpoint.score
    mean = total / len(known) if known else 1.0
    for endpoint in unknown:
        endpoint.score = mean
