"""`outlier_detection.suspect_after` and time-outs, from the observed times of calls."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mcppool.advise.advice import Advice, ProposedChange, percent, tool_key, written
from mcppool.advise.facts import PoolFacts, ToolFacts
from mcppool.spec.values import format_duration

ENOUGH_CALLS: Final = 200
"""Calls of a tool below which its percentiles say nothing."""

LATE: Final = ("timeout",)
"""Reasons of calls that took too long."""

SUSPECT, REQUEST = "outlier_detection.suspect_after", "timeouts.request"


def suspicion(facts: PoolFacts) -> Iterator[Advice]:
    """`suspect_after` should be above the usual times of calls, and not far above."""
    set_to = facts.seconds(SUSPECT)
    slowest = _slowest(facts)
    if set_to is None or slowest is None or slowest.p99 is None:
        return
    in_force = format_duration(set_to)
    change = ProposedChange(SUSPECT, in_force, "auto")
    figures: dict[str, float | str] = {f"p99 of {slowest.name}": written(slowest.p99), "suspect_after": in_force}
    if set_to < slowest.p99:
        yield Advice(
            facts.name, "times.suspect_after", (change,),
            "Endpoints come under suspicion, and get checks, while they work on ordinary calls.",
            figures, "Only calls that take unusually long lead to a check; `auto` follows the tools at work.",
        )  # fmt: skip
    elif set_to > 20 * max(slowest.p99, 0.05):
        yield Advice(
            facts.name, "times.suspect_after", (change,),
            "A hung endpoint is noticed late: calls usually take a small part of that time.",
            figures, f"A hung endpoint is noticed about {written(set_to - max(0.5, 2 * slowest.p99))} earlier.",
        )  # fmt: skip


def time_outs(facts: PoolFacts) -> Iterator[Advice]:
    """A time-out should be well above the 99th percentile of a tool, and cut none of its calls."""
    limit = facts.seconds(REQUEST)
    if limit is None:
        return
    for tool in facts.tools_with_keys:
        late = sum(tool.reasons.get(reason, 0) for reason in LATE)
        if tool.calls < ENOUGH_CALLS or tool.p99 is None:
            continue
        key = tool_key(tool.name, "timeout")
        own = facts.seconds(key)
        held = own or limit
        change = ProposedChange(key, format_duration(own) if own else None, written(3 * held))
        if late * 1000 >= tool.calls and tool.p95 is not None and tool.p95 >= 0.3 * held:
            yield Advice(
                facts.name, "times.timeout", (change,),
                f"Calls of {tool.name} end by their time-out while others succeed shortly before it.",
                {"ended so": percent(late / tool.calls), "p95": written(tool.p95), "time-out": format_duration(held)},
                "These calls get their answers, if the server gives them within three times as long.",
                "Are these calls slow, or does the server hang?",
            )  # fmt: skip
    slowest = _slowest(facts)
    if slowest is None or slowest.p99 is None or facts.failed or facts.calls < 1000 or _any_late(facts):
        return
    enough = max(10.0, 20 * slowest.p99)
    if limit >= 10 * enough:
        in_force, shorter = format_duration(limit), written(enough)
        yield Advice(
            facts.name, "times.timeout", (ProposedChange(REQUEST, in_force, shorter),),
            "Calls may take far longer than they ever do.",
            {f"p99 of {slowest.name}, the slowest tool": written(slowest.p99), "timeouts.request": in_force},
            f"The client of a call that hangs gets its error after {shorter}, and not after {in_force}.",
            "Is there a tool that rarely runs, and takes longer?",
        )  # fmt: skip


def _any_late(facts: PoolFacts) -> bool:
    return any(tool.reasons.get(reason) for tool in facts.tools for reason in LATE)


def _slowest(facts: PoolFacts) -> ToolFacts | None:
    known = [tool for tool in facts.tools if tool.calls >= ENOUGH_CALLS and tool.p99 is not None]
    return max(known, key=lambda tool: tool.p99 or 0.0, default=None)
