"""`sessions.stateless`: sessions that hold no state."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from mcppool.advise.advice import Advice, ProposedChange
from mcppool.advise.facts import PoolFacts

ENOUGH_CROSSINGS: Final = 50
"""Repeated calls in another session from which their results count as independent of the session."""

STATELESS: Final = "sessions.stateless"


def sessions(facts: PoolFacts) -> Iterator[Advice]:
    """Advice if servers give out sessions, and no answer depended on one."""
    if facts.settings.get(STATELESS) is not False or not facts.server_sessions or len(facts.endpoints) < 2:
        return
    crossings = sum(tool.other_session for tool in facts.tools)
    different = sum(tool.different for tool in facts.tools)
    if crossings < ENOUGH_CROSSINGS or different:
        return
    yield Advice(
        facts.name, "sessions.stateless", (ProposedChange(STATELESS, False, True),),
        "The servers give out sessions, and the same call had the same result in every session.",
        {"sessions": facts.sessions, "calls repeated in another session": crossings, "different results": different},
        "Each call of a session goes to the best endpoint, a dead replica costs no session, and results of tools with "
        "a `cache_ttl` are cached.",
        "Does the server keep something for a session: a log-in, a cursor, an open file, a subscription?",
    )  # fmt: skip
