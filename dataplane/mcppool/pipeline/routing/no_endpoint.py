"""Why nobody takes a call: in words for the client, who gets no addresses, and for the log, which has them."""

from __future__ import annotations

from collections import Counter
from time import monotonic
from typing import TYPE_CHECKING

from mcppool.upstream.failures import NoEndpoint

if TYPE_CHECKING:
    from mcppool.pipeline.pool.pool import ServerPool
    from mcppool.upstream.endpoint import Endpoint

FRESH = 0.1  # seconds for which what was found is said again
MOST_NAMED = 3  # endpoints whose cause is told; more would be the same

_WORDS = {
    "starting": "starting",
    "not_startable": "a program that does not start",
    "unreachable": "unreachable",
    "busy": "busy with the calls that it has",
    "hung": "hung: it accepts connections and answers nothing",
    "no_mcp": "answering, but not as an MCP server: is the URL right, with its path",
    "refuses_checks": "refusing the checks of the gateway: headers.send gives them what they lack",
    "unhealthy": "failing its checks",
    "ejected": "left out after failed calls",
    "draining": "leaving",
    "available": "available, and not for this call",
}

_LASTING = frozenset({"not_startable", "no_mcp"})


def plight(pool: ServerPool, endpoint: Endpoint) -> str:
    """What is the matter with an endpoint, as a key of the words above."""
    state = endpoint.state
    never = not endpoint.stats.answered
    if endpoint.key in pool.not_started:
        return "not_startable"
    if never and pool.spec.command and state in ("unreachable", "joining"):
        return "starting"
    if state == "joining":
        return "starting"
    if endpoint.refuses_checks is not None and state in ("unhealthy", "available"):
        return "refuses_checks"
    if never and state in ("unhealthy", "available") and endpoint.stats.failed_checks:
        return "no_mcp"
    return state if state in _WORDS else "unhealthy"


def needs_mending(pool: ServerPool) -> bool:
    """Whether somebody has to change something before any server of the pool can answer: waiting helps nobody."""
    return bool(pool.endpoints) and all(plight(pool, e) in _LASTING for e in pool.endpoints.values())


def cause(pool: ServerPool, endpoint: Endpoint) -> str:
    """What was last seen of it, with what is the matter; empty where nothing is."""
    return pool.not_started.get(endpoint.key) or endpoint.stats.last_fault


def whats_wrong(pool: ServerPool) -> str:
    """For the log and the page: the endpoints that do not take calls, with addresses and causes."""
    out = [e for e in pool.endpoints.values() if not e.available or not e.stats.answered]
    if not pool.endpoints:
        return "no server is configured, or the pool's source finds none"
    more = f"; and {len(out) - MOST_NAMED} more" if len(out) > MOST_NAMED else ""
    return "; ".join(_named(pool, endpoint) for endpoint in out[:MOST_NAMED]) + more


def _named(pool: ServerPool, endpoint: Endpoint) -> str:
    why = cause(pool, endpoint)
    return f"{endpoint.key} is {_WORDS[plight(pool, endpoint)]}" + (f" ({why})" if why else "")


def no_endpoint(pool: ServerPool) -> NoEndpoint:
    """The failure of a call that nobody can take now. In a flood of such calls not each looks at all endpoints."""
    now = monotonic()
    said_at, detail, note = pool.plight
    if now - said_at >= FRESH:
        detail, note = whats_wrong(pool), "the pool has no servers"
        if pool.endpoints:
            counts = Counter(plight(pool, endpoint) for endpoint in pool.endpoints.values())
            kinds = "; ".join(f"{count} {_WORDS[kind]}" for kind, count in counts.most_common())
            note = f"of {len(pool.endpoints)} servers: {kinds}"
        pool.plight = now, detail, note
    return NoEndpoint(detail, note=note)
