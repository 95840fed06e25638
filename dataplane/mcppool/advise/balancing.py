"""`load_balancer.strategy`: the strategy for the observed spread of times."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mcppool.advise.advice import Advice, ProposedChange, written
from mcppool.advise.facts import PoolFacts

ENOUGH_ATTEMPTS: Final = 50
"""Attempts at each endpoint below which its latency says nothing."""

UNEVEN: Final = 2.0
"""Ratio of latencies from which a strategy without regard to them costs clients time."""

MIXED: Final = 10.0
"""Ratio of p99 to p50 from which turns without regard to calls in flight queue short calls behind long ones."""

BLIND: Final = ("round_robin", "random", "weighted_round_robin")
"""Strategies that do not look at the state of an endpoint."""

STRATEGY = "load_balancer.strategy"


def strategy(facts: PoolFacts) -> Iterator[Advice]:
    """Advice for a blind strategy over uneven endpoints, or with calls of very different lengths."""
    chosen = facts.settings.get(STRATEGY)
    known = [each for each in facts.endpoints if each.available and each.latency and each.attempts >= ENOUGH_ATTEMPTS]
    if chosen not in BLIND or len(known) < 2:
        return
    latencies = [each.latency or 0.0 for each in known]
    slow, quick = max(latencies), min(latencies)
    if slow >= UNEVEN * quick:
        evenly = sum(latencies) / len(latencies)
        by_time = len(latencies) / sum(1 / latency for latency in latencies)
        yield Advice(
            facts.name, "balancing.uneven", (ProposedChange(STRATEGY, chosen, "response_time_based"),),
            f"Some endpoints answer much later than others, and {chosen} gives all of them the same share.",
            {"latency of the slowest endpoint": written(slow), "of the quickest": written(quick)},
            f"A mean latency of about {written(by_time)} in place of {written(evenly)}.",
            "Is the slow endpoint smaller for a reason? A lower weight says so, too.",
        )  # fmt: skip
        return
    mixed = [tool for tool in facts.tools if tool.calls >= ENOUGH_ATTEMPTS and tool.p50 and tool.p99]
    slowest = max((tool.p99 or 0.0 for tool in mixed), default=0.0)
    usual = min((tool.p50 or 0.0 for tool in mixed), default=0.0)
    if usual and slowest >= MIXED * usual:
        yield Advice(
            facts.name, "balancing.mixed", (ProposedChange(STRATEGY, chosen, "least_connections"),),
            f"Calls take very different times, and {chosen} sends short ones behind long ones.",
            {"p50 of the quickest tool": written(usual), "p99 of the slowest": written(slowest)},
            "New calls go to the endpoint with the fewest calls in flight.",
        )  # fmt: skip
