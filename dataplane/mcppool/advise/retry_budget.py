"""`retry_policy.budget_percent`: a retry budget that is too small, or larger than anybody needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mcppool.advise.advice import Advice, ProposedChange, percent
from mcppool.advise.facts import PoolFacts

ENOUGH_CALLS: Final = 1000
LARGEST: Final = 50
"""Upper bound on the proposed percentage: above it, retries are a load of their own."""

USUAL: Final = 20
"""The default, which is enough for a replica that dies."""

BUDGET = "retry_policy.budget_percent"


def retry_budget(facts: PoolFacts) -> Iterator[Advice]:
    """Advice if the budget refused retries, or is large and unused."""
    budget = facts.number(BUDGET)
    if budget is None or facts.calls < ENOUGH_CALLS:
        return
    needed = 100 * (facts.retries + facts.budget_empty) / facts.calls
    figures: dict[str, float | str] = {
        "calls": facts.calls,
        "retries": facts.retries,
        "failed calls that met an empty budget": facts.budget_empty,
    }
    proposed = min(LARGEST, -(-int(needed * 125) // 100) + 1)
    if facts.budget_empty * 100 >= facts.calls and proposed > budget:
        yield Advice(
            facts.name, "retries.budget", (ProposedChange(BUDGET, int(budget), proposed),),
            "Calls that could be repeated fail, because the retry budget is used up.",
            figures, f"Up to {percent(facts.budget_empty / facts.calls)} fewer failed calls.",
            "Why do so many attempts fail? More retries do not repair the servers, and load them.",
        )  # fmt: skip
    elif budget > USUAL and needed * 10 < USUAL:
        yield Advice(
            facts.name, "retries.budget", (ProposedChange(BUDGET, int(budget), USUAL),),
            "The retry budget is far larger than the need.",
            figures, f"In an outage, retries add at most {USUAL} % to the load, and not {int(budget)} %.",
        )  # fmt: skip
