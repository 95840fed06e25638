"""`tools.NAME.cache_ttl`: tools that are worth caching, and cached tools that are not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mcppool.advise.advice import Advice, ProposedChange, percent, tool_key, written
from mcppool.advise.facts import PoolFacts, ToolFacts
from mcppool.advise.sessions import STATELESS

ENOUGH_SAMPLES: Final = 50
WORTHWHILE: Final = 0.2
"""Share of repeated calls from which a cache is worth while."""

LOOK_UPS: Final = 500
RARE: Final = 0.02
"""Hit rate below which a cache of so many look-ups is not worth while."""

TTL: Final = "1m"
"""The proposed lifetime: short, because only a person knows how long an answer holds."""


def caching(facts: PoolFacts) -> Iterator[Advice]:
    """Advice for each tool with many repeated calls and without a cache, or the reverse."""
    for tool in facts.tools_with_keys:
        if tool.cached and tool.hits + tool.misses >= LOOK_UPS and tool.hits < RARE * (tool.hits + tool.misses):
            key = tool_key(tool.name, "cache_ttl")
            yield Advice(
                facts.name, "cache.unused", (ProposedChange(key, facts.settings.get(key), None),),
                f"Calls of {tool.name} are hardly ever repeated while their answers are kept.",
                {"look-ups": tool.hits + tool.misses, "hits": percent(tool.hits / (tool.hits + tool.misses))},
                "Room in the cache for other tools, and no look-up for these calls.",
                "Would a longer time help, rather than none?",
            )  # fmt: skip
        elif not tool.cached and _repeats(tool, saved := _saved(facts, tool)):
            yield _worth_caching(facts, tool, saved)


def _saved(facts: PoolFacts, tool: ToolFacts) -> int:
    """The repeated calls that a cache would answer: none in a session of the server, which may hold state."""
    return tool.repeated if facts.settings.get(STATELESS) else tool.repeated - tool.in_session


def _repeats(tool: ToolFacts, saved: int) -> bool:
    """Whether a cache would answer many of its calls, and repeated calls always had the same result."""
    reads = tool.annotation == "read-only"
    return (
        tool.sampled >= ENOUGH_SAMPLES
        and saved >= WORTHWHILE * tool.sampled
        and tool.same > 0
        and not tool.different
        and (reads or (not tool.annotation and tool.same >= ENOUGH_SAMPLES))
    )


def _worth_caching(facts: PoolFacts, tool: ToolFacts, saved: int) -> Advice:
    share = saved / tool.sampled
    each = tool.seconds / tool.repeated
    changes = [ProposedChange(tool_key(tool.name, "cache_ttl"), None, TTL)]
    if facts.settings.get("cache.type") == "none":
        changes.append(ProposedChange("cache.type", "none", "memory"))
    per_minute = 60 * tool.calls / facts.covered if facts.covered else 0.0
    doubt = "" if tool.annotation == "read-only" else "It is not annotated as read-only: does a call change something? "
    return Advice(
        facts.name, "cache.tool", tuple(changes),
        f"Clients repeat calls of {tool.name} with the same arguments, and got the same result each time.",
        {
            "sampled calls": tool.sampled, "repeated, at least": percent(share), "different results": tool.different,
            "time of a repeated call": written(each), "calls a minute": round(per_minute, 1),
        },
        f"At least {percent(share)} of its calls need no server: {written(max(0.001, per_minute * share * each))} of "
        "waiting saved in each minute.",
        f"{doubt}How old may an answer be? {TTL} is a cautious beginning.",
    )  # fmt: skip
