"""`tools.NAME.idempotent`: tools whose calls the gateway could repeat after a failure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mcppool.advise.advice import Advice, ProposedChange, percent, tool_key
from mcppool.advise.facts import PoolFacts

ENOUGH_SAME: Final = 100
"""Equal results of repeated calls from which a tool without annotations seems to change nothing."""


def idempotence(facts: PoolFacts) -> Iterator[Advice]:
    """Advice for each tool that is annotated and not believed, or never gave two results for the same arguments."""
    for tool in facts.tools_with_keys:
        if tool.repeatable or not tool.sampled:
            continue
        key = tool_key(tool.name, "idempotent")
        if facts.settings.get(key) is False:  # a person has decided
            continue
        if tool.annotation:
            why = f"The server calls {tool.name} {tool.annotation}, and retry_policy.trust_annotations is false."
            check = "Do you trust this server's annotations, at least for this tool?"
        elif tool.same >= ENOUGH_SAME and not tool.different:
            why = f"Repeated calls of {tool.name} never gave a different result."
            check = "Does a call change something? If it does, a call that ran twice does so twice."
        else:
            continue
        yield Advice(
            facts.name, "idempotent.tool", (ProposedChange(key, facts.settings.get(key), True),), why,
            {
                "sampled calls": tool.sampled, "equal results of repeated calls": tool.same,
                "different results": tool.different,
                "calls that failed": percent(sum(tool.reasons.values()) / tool.calls if tool.calls else 0.0),
            },
            "The gateway repeats a call that may have run when its replica dies, and its client notices nothing.",
            check,
        )  # fmt: skip
