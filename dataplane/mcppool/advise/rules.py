"""All rules of advice."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final

from mcppool.advise.advice import Advice
from mcppool.advise.balancing import strategy
from mcppool.advise.caching import caching
from mcppool.advise.connections import connections
from mcppool.advise.facts import Body, PoolFacts, facts_of
from mcppool.advise.idempotence import idempotence
from mcppool.advise.limits import limits
from mcppool.advise.replicas import replicas
from mcppool.advise.retry_budget import retry_budget
from mcppool.advise.sessions import sessions
from mcppool.advise.times import suspicion, time_outs

RULES: Final[tuple[Callable[[PoolFacts], Iterator[Advice]], ...]] = (
    retry_budget, limits, connections, time_outs, suspicion, strategy, caching, idempotence, replicas, sessions,
)  # fmt: skip
"""Each gives its advice on one pool. What helps failing calls comes first."""

MAX_ADVICE: Final = 50
"""Upper bound on the advice for one pool: a pool may have thousands of tools."""


def advise(pools: Iterable[PoolFacts]) -> list[Advice]:
    """The advice of all rules on these pools."""
    return [advice for facts in pools for advice in _all(facts)]


def advice_body(settings: Body, status: Body, history: Body, workload: Body) -> dict[str, Any]:
    """`/advice.json`, from the pages of the admin port: the advice, the most useful first, and the number of seconds
    that the figures cover."""
    facts = facts_of(settings, status, history, workload)
    return {
        "version": status["version"],
        "at": status["at"],
        "covered": history["covered"],
        "pools": [pool.name for pool in facts],
        "advice": [each.as_json() for each in advise(facts)],
    }


def _all(facts: PoolFacts) -> list[Advice]:
    return [advice for rule in RULES for advice in rule(facts)][:MAX_ADVICE]
