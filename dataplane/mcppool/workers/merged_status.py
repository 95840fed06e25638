"""The admin pages of several processes as those of one gateway. Each function takes the pages of the processes;
there is at least one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from mcppool.observe.status_json import MAX_BREAKERS, Body
from mcppool.observe.views import WORST_STATES, ComponentHealth, Status

WORST_STATUS: Final[tuple[Status, ...]] = ("unhealthy", "degraded", "healthy")
WORST_BREAKER: Final = ("open", "half_open", "closed")
MAX_EVENTS: Final = 20

Bodies = Sequence[Body]


def merged_health(pages: Sequence[tuple[int, Mapping[str, ComponentHealth]]]) -> dict[str, ComponentHealth]:
    """Each component as the process that is worst off sees it. The message names the place of the process, unless all
    say the same."""
    found: dict[str, ComponentHealth] = {}
    for name in dict.fromkeys(name for _, page in pages for name in page):
        parts = [(worker, page[name]) for worker, page in pages if name in page]
        worker, worst = min(parts, key=lambda part: (WORST_STATUS.index(part[1].status), part[0]))
        alike = all((part.status, part.message) == (worst.status, worst.message) for _, part in parts)
        times = [part.since for _, part in parts if part.status == worst.status and part.since is not None]
        message = worst.message if alike else f"worker {worker}: {worst.message}"
        # Ill since the first worker is; well since the last one is.
        since = (max if worst.status == "healthy" else min)(times, default=None)
        found[name] = ComponentHealth(worst.status, message, since)
    return found


def merged_ready(pages: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The pools that no process can serve yet, with the reasons."""
    first, *others = pages
    return {pool: why for pool, why in first.items() if all(pool in other for other in others)}


def merged_config(pages: Bodies) -> Body:
    """The configuration of the process that has had its own the longest: an edit is in force once all have it. A
    refusal by one process counts, and a key that all processes have."""
    oldest = min(pages, key=lambda page: page["loadedAt"] or "")
    keys = [key for key in pages[0]["keyIds"] if all(key in page["keyIds"] for page in pages)]
    rejected = [page["rejected"] for page in pages if page["rejected"] is not None]
    return {**oldest, "keyIds": keys, "rejected": rejected[0] if rejected else None}


def merged_load(pages: Bodies) -> Body:
    """Sums of calls and sessions. What one process finds of the tools, another finds, too: the longest list counts."""
    found: Body = {"pools": {}, "clients": {}, "tools": {}}
    for page in pages:
        for pool, endpoints in page["pools"].items():
            into = found["pools"].setdefault(pool, {})
            for url, load in endpoints.items():
                known = into.setdefault(url, {"inFlight": 0, "sessions": 0})
                for key in known:
                    known[key] += load[key]
        for pool, clients in page["clients"].items():
            known = found["clients"].setdefault(pool, {"sessions": 0, "calls": 0, "failedCalls": 0, "lastFailure": ""})
            for key in ("sessions", "calls", "failedCalls"):
                known[key] += clients[key]
            known["lastFailure"] = clients["lastFailure"] or known["lastFailure"]
        for pool, tools in page["tools"].items():
            known = found["tools"].get(pool)
            if known is None or _weight(tools) > _weight(known):
                found["tools"][pool] = tools
    return found


def merged_status(pages: Bodies) -> Body:
    """Everything on the status page but the health of components."""
    first = pages[0]
    return {
        "version": first["version"],
        "build": first["build"],
        "at": max(page["at"] for page in pages),
        "startedAt": min(page["startedAt"] for page in pages),
        "zone": first["zone"],
        "health": first["health"],
        "healthSince": first["healthSince"],
        "notReady": merged_ready([page["notReady"] for page in pages]),
        "config": merged_config([page["config"] for page in pages]),
        "pools": [_pool(found) for found in _by_name(pages).values()],
    }


def merged_workload(pages: Bodies) -> Body:
    """The sums of the counts of each pool and tool; what one process finds of a tool, another finds, too."""
    found: Body = {}
    for page in pages:
        for name, pool in page.items():
            into = found.setdefault(name, {"serverSessions": False, "tools": {}})
            into["serverSessions"] = into["serverSessions"] or pool["serverSessions"]
            for tool, counts in pool["tools"].items():
                known = into["tools"].setdefault(tool, {})
                for key, value in counts.items():
                    number = isinstance(value, int | float) and not isinstance(value, bool)
                    known[key] = known.get(key, 0) + value if number else value
    return found


def _by_name(pages: Bodies) -> dict[str, list[Body]]:
    found: dict[str, list[Body]] = {}
    for page in pages:
        for pool in page["pools"]:
            found.setdefault(pool["name"], []).append(pool)
    return found


def _pool(parts: Sequence[Body]) -> Body:
    first = parts[0]
    return {
        **first,
        "panic": any(part["panic"] for part in parts),
        "warnings": list(dict.fromkeys(warning for part in parts for warning in part["warnings"])),
        "callsPerSecond": round(_sum(parts, "callsPerSecond"), 2),
        "outcomes": _sums(part["outcomes"] for part in parts),
        "waiting": _sum(parts, "waiting"),
        "sessions": _sum(parts, "sessions"),
        "catalogTools": max(part["catalogTools"] for part in parts),
        "endpoints": _endpoints(parts),
        "retries": _sums(part["retries"] for part in parts),
        "hedges": _sum(parts, "hedges"),
        "breakers": _breakers(parts),
        "cache": _cache([part["cache"] for part in parts if part["cache"] is not None]),
        "learned": next((part["learned"] for part in parts if part["learned"]), first["learned"]),
        "lost": _lost(parts),
        "events": _events(parts),
    }


def _endpoints(parts: Sequence[Body]) -> list[Body]:
    found: dict[str, list[Body]] = {}
    for part in parts:
        for endpoint in part["endpoints"]:
            found.setdefault(endpoint["url"], []).append(endpoint)
    merged = [_endpoint(same) for same in found.values()]
    attempts = sum(endpoint["callsPerSecond"] for endpoint in merged)
    shown = any(endpoint["share"] is not None for endpoint in merged)
    for endpoint in merged:
        share = endpoint["callsPerSecond"] / attempts if attempts else 0.0
        endpoint["share"] = round(share, 4) if shown and attempts else None
    return merged


def _endpoint(parts: Sequence[Body]) -> Body:
    """One endpoint as the process sees it for which it is worst, with the sums of all."""
    worst = min(parts, key=lambda part: _rank(WORST_STATES, part["state"]))
    times = [(part["latency"], part["callsPerSecond"]) for part in parts if part["latency"] is not None]
    calls = sum(rate for _, rate in times)
    latency = sum(time * rate for time, rate in times) / calls if calls else max((time for time, _ in times), default=0)
    sums = ("inFlight", "sessions", "attempts", "failures", "ejections", "checks", "failedChecks")
    return {
        **worst,
        "score": min(part["score"] for part in parts),
        "latency": round(latency, 6) if times else None,
        "share": next((part["share"] for part in parts if part["share"] is not None), None),
        "callsPerSecond": round(_sum(parts, "callsPerSecond"), 2),
        "connections": _sums(part["connections"] for part in parts),
        **{key: _sum(parts, key) for key in sums},
    }


def _breakers(parts: Sequence[Body]) -> list[Body]:
    worst: dict[tuple[str, str], Body] = {}
    for part in parts:
        for line in part["breakers"]:
            key = line["tool"], line["endpoint"]
            if key not in worst or _rank(WORST_BREAKER, line["state"]) < _rank(WORST_BREAKER, worst[key]["state"]):
                worst[key] = line
    return sorted(worst.values(), key=lambda line: (line["state"] != "open", line["tool"], line["endpoint"]))[
        :MAX_BREAKERS
    ]


def _cache(parts: Sequence[Body]) -> Body | None:
    if not parts:
        return None
    sums = {key: _sum(parts, key) for key in ("hits", "misses", "coalesced", "stale")}
    asked = sums["hits"] + sums["misses"]
    held: dict[str, Any] = {key: None if parts[0][key] is None else _sum(parts, key) for key in ("entries", "bytes")}
    return {
        "type": parts[0]["type"],
        **sums,
        "hitRate": round(sums["hits"] / asked, 4) if asked else None,
        **held,
        "trouble": next((part["trouble"] for part in parts if part["trouble"] is not None), None),
    }


def _events(parts: Sequence[Body]) -> list[Body]:
    """Equal events once, with the sum of their counts; the newest first."""
    found: dict[tuple[str, str, str], Body] = {}
    for part in parts:
        for event in part["events"]:
            key = event["endpoint"], event["reason"], event["detail"]
            known = found.get(key)
            if known is None:
                found[key] = dict(event)
            else:
                known["count"] += event["count"]
                known["at"] = max(known["at"], event["at"])
    return sorted(found.values(), key=lambda event: str(event["at"]), reverse=True)[:MAX_EVENTS]


def _lost(parts: Sequence[Body]) -> list[Body]:
    """Each reason once, since the first worker lost a call for it; the rest is about the last one."""
    found: dict[str, Body] = {}
    for loss in sorted((loss for part in parts for loss in part["lost"]), key=lambda loss: str(loss["last"])):
        known = found.get(loss["reason"])
        if known is None:
            found[loss["reason"]] = dict(loss)
        else:
            since = min(known["since"], loss["since"])
            sums = {key: known[key] + loss[key] for key in ("count", "total")}
            found[loss["reason"]] = {**loss, "since": since, **sums}
    return sorted(found.values(), key=lambda loss: str(loss["last"]), reverse=True)


def _sum(parts: Iterable[Body], key: str) -> Any:
    return sum(part[key] for part in parts)


def _sums(parts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for part in parts:
        for key, count in part.items():
            found[key] = found.get(key, 0) + count
    return found


def _rank(order: Sequence[str], value: str) -> int:
    return order.index(value) if value in order else len(order)


def _weight(tools: Body) -> int:
    return len(tools["changed"]) + int(tools["differ"])
