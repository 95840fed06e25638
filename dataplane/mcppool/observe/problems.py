"""The problems of a gateway, found in everything that the status page shows: the same for the page and the terminal."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from mcppool.spec.plural import counted

Body = dict[str, Any]

OVER: Final = 60.0
"""Seconds after the last lost call after which its reason is no problem any more."""

MAX_OF_A_KIND: Final = 3
"""Upper bound on the endpoints, and on the breakers, of one pool that are named one by one."""

FAILING, DEGRADED = "failing", "degraded"
ILL: Final = frozenset({"unreachable", "hung", "unhealthy", "ejected"})
"""States of an endpoint that are a problem."""

_SAID_BY_POOLS: Final = frozenset({"connection_pool", "balancer", "breakers"})
"""Components whose trouble the pools tell in detail."""


def problems(status: Body) -> list[Body]:
    """The problems of a gateway, the worst first.

    Each has `severity` (`failing`: clients or servers feel it; `degraded`: somebody should look), `pool` and `name` (a
    tool, an endpoint or a component; either may be None), `what` in words, and `since`, None if that is unknown.
    """
    found = [*_components(status)]
    now = _time(status["at"])
    for pool in status["pools"]:
        found += [*_losses(pool, now), *_endpoints(pool), *_breakers(pool)]
        if pool["panic"]:
            what = "few endpoints are healthy, so every reachable one takes calls"
            found.append(_problem(DEGRADED, pool["name"], None, what))
    return sorted(found, key=lambda problem: problem["severity"] != FAILING)


def _components(status: Body) -> Iterator[Body]:
    for name, component in status["health"]["components"].items():
        if component["status"] == "healthy" or (name in _SAID_BY_POOLS and status["pools"]):
            continue
        severity = FAILING if component["status"] == "unhealthy" else DEGRADED
        pool = name.removeprefix("pool ") if name.startswith("pool ") else None
        since = status["healthSince"].get(name)
        yield _problem(severity, pool, None if pool is not None else name, component["message"], since)


def _losses(pool: Body, now: datetime) -> Iterator[Body]:
    for loss in pool["lost"]:
        if (now - _time(loss["last"])).total_seconds() > OVER:
            continue
        at = f"; the last one at {loss['endpoint']}" if loss["endpoint"] else ""
        what = f"{counted(loss['count'], 'call')} lost: {loss['reason'].replace('_', ' ')}{at}"
        yield _problem(FAILING, pool["name"], loss["name"] or None, what, loss["since"])


def _endpoints(pool: Body) -> Iterator[Body]:
    ill = [endpoint for endpoint in pool["endpoints"] if endpoint["state"] in ILL]
    for endpoint in ill[:MAX_OF_A_KIND]:
        why = f": {endpoint['reason']}" if endpoint["reason"] else ""
        yield _problem(FAILING, pool["name"], endpoint["url"], f"{endpoint['state']}{why}", endpoint["since"])
    if (more := len(ill) - MAX_OF_A_KIND) > 0:
        yield _problem(FAILING, pool["name"], None, f"{counted(more, 'more endpoint', ('takes', 'take'))} no calls")


def _breakers(pool: Body) -> Iterator[Body]:
    tools = list(dict.fromkeys(line["tool"] for line in pool["breakers"] if line["state"] == "open"))
    for tool in tools[:MAX_OF_A_KIND]:
        yield _problem(FAILING, pool["name"], tool, "its circuit breaker is open")
    if (more := len(tools) - MAX_OF_A_KIND) > 0:
        yield _problem(FAILING, pool["name"], None, f"{counted(more, 'more breaker', ('is', 'are'))} open")


def _problem(severity: str, pool: str | None, name: str | None, what: str, since: str | None = None) -> Body:
    return {"severity": severity, "pool": pool, "name": name, "what": what, "since": since}


def _time(at: str) -> datetime:
    return datetime.fromisoformat(at)
