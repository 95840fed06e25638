"""Why nobody takes a call: in words for the client, who gets no addresses, and for the log, which has them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from mcppool.upstream.failures import NoEndpoint

if TYPE_CHECKING:
    from mcppool.pipeline.pool import Pool
    from mcppool.upstream.endpoint import Endpoint

MOST_NAMED = 3  # endpoints whose cause is told; more would be the same

_WORDS = {
    "starting": "starting",
    "not_startable": "a program that does not start",
    "unreachable": "unreachable",
    "busy": "busy with the calls that it has",
    "hung": "hung: it accepts connections and answers nothing",
    "no_mcp": "answering, but not as an MCP server: is the URL right, with its path",
    "unhealthy": "failing its checks",
    "ejected": "left out after failed calls",
    "draining": "leaving",
    "available": "available, and not for this call",
}


def plight(pool: Pool, endpoint: Endpoint) -> str:
    """What is the matter with an endpoint, as a key of the words above."""
    state = endpoint.state
    never = not endpoint.stats.answered
    if endpoint.key in pool.not_started:
        return "not_startable"
    if never and pool.spec.command and state in ("unreachable", "joining"):
        return "starting"
    if state == "joining":
        return "starting"
    if never and state in ("unhealthy", "available") and endpoint.stats.failed_checks:
        return "no_mcp"
    return state if state in _WORDS else "unhealthy"


def cause(pool: Pool, endpoint: Endpoint) -> str:
    """What was last seen of it, with what is the matter; empty where nothing is."""
    return pool.not_started.get(endpoint.key) or endpoint.stats.last_fault


def whats_wrong(pool: Pool) -> str:
    """For the log and the page: the endpoints that do not take calls, with addresses and causes."""
    out = [e for e in pool.endpoints.values() if not e.available or not e.stats.answered]
    if not pool.endpoints:
        return "no server is configured, or the pool's source finds none"
    named = [f"{e.key} is {_WORDS[plight(pool, e)]}" + (f" ({cause(pool, e)})" if cause(pool, e) else "") for e in out]
    more = f"; and {len(named) - MOST_NAMED} more" if len(named) > MOST_NAMED else ""
    return "; ".join(named[:MOST_NAMED]) + more


def no_endpoint(pool: Pool) -> NoEndpoint:
    """The failure of a call that nobody can take now."""
    if not pool.endpoints:
        return NoEndpoint(whats_wrong(pool), note="the pool has no servers")
    counts = Counter(plight(pool, endpoint) for endpoint in pool.endpoints.values())
    note = "; ".join(f"{count} {_WORDS[kind]}" for kind, count in counts.most_common())
    return NoEndpoint(whats_wrong(pool), note=f"of {len(pool.endpoints)} servers: {note}")
