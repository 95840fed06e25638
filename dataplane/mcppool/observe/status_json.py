"""The pages of the admin port as JSON values: each on its own, and all together in `/status.json`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import mcppool
from mcppool.built import BUILD
from mcppool.observe.views import (
    ComponentHealth,
    ConfigChangeView,
    ConfigView,
    EndpointView,
    PoolView,
    ProcessesView,
    Status,
)

Body = dict[str, Any]

MAX_BREAKERS: Final = 100
"""Upper bound on the listed breakers of a pool that are not closed, the open ones first."""

_LATENCY_MEANS_SOMETHING: Final = ("available", "busy", "draining")
"""States in which latency is meaningful: for an unavailable endpoint, balancing assumes the worst."""


def status_body(
    pools: Sequence[PoolView],
    components: Mapping[str, ComponentHealth],
    config: ConfigView,
    not_ready: Mapping[str, str],
    started: datetime,
    zone: str | None = None,
) -> Body:
    """Everything that the status page shows. Times are RFC 3339, durations seconds, shares and scores 0 to 1."""
    return {
        "version": mcppool.__version__,
        "build": BUILD,
        "at": rfc3339(datetime.now(UTC)),
        "startedAt": rfc3339(started),
        "zone": zone,
        "health": health_body(components),
        "healthSince": health_times(components),
        "notReady": dict(not_ready),
        "config": config_body(config),
        "pools": [_pool(pool) for pool in pools],
    }


def health_body(components: Mapping[str, ComponentHealth]) -> Body:
    """Each component, and the whole, whose health is that of its worst part."""
    return {
        "overall": _worst(component.status for component in components.values()),
        "components": {
            name: {"status": component.status, "message": component.message} for name, component in components.items()
        },
    }


def health_times(components: Mapping[str, ComponentHealth]) -> Body:
    """The time since when each component has its status."""
    return {name: rfc3339(component.since) for name, component in components.items()}


def load_body(pools: Sequence[PoolView]) -> Body:
    """The load of each endpoint of each pool, the results that the pool's clients see, and tools that are not alike."""
    return {
        "pools": {
            pool.name: {
                endpoint.url: {"inFlight": endpoint.active_requests, "sessions": endpoint.sessions}
                for endpoint in pool.endpoints
            }
            for pool in pools
        },
        "clients": {
            pool.name: {
                "sessions": pool.sessions,
                "calls": pool.calls,
                "failedCalls": pool.failed_calls,
                "lastFailure": pool.last_failure,
            }
            for pool in pools
        },
        "tools": {
            pool.name: {
                "changed": list(pool.changed_tools),
                "differ": pool.tool_differences.total,
                "examples": [example._asdict() for example in pool.tool_differences.examples],
            }
            for pool in pools
        },
    }


def config_body(config: ConfigView) -> Body:
    """The configuration in force, and the newest refused one."""
    rejected = config.rejected
    return {
        "hash": config.hash,
        "generation": config.generation,
        "term": config.term,
        "loadedAt": rfc3339(config.loaded_at),
        "keyIds": list(config.key_ids),
        "rejected": None
        if rejected is None
        else {"hash": rejected.hash, "problems": list(rejected.problems), "at": rfc3339(rejected.at)},
    }


def config_changes_body(changes: Sequence[ConfigChangeView]) -> list[Body]:
    """The configurations that were in force, and the refused ones, the newest first."""
    return [
        {
            "at": rfc3339(change.at),
            "hash": change.hash,
            "generation": change.generation,
            "problems": list(change.problems),
            "settings": [{"path": line.path, "before": line.before, "after": line.after} for line in change.settings],
            "more": change.more,
        }
        for change in changes
    ]


def rfc3339(moment: datetime | None) -> str | None:
    """A moment in UTC, to the millisecond."""
    return None if moment is None else moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _pool(pool: PoolView) -> Body:
    cache = pool.cache
    return {
        "name": pool.name,
        "strategy": pool.strategy,
        "authentication": pool.authentication,
        "panic": pool.panic,
        "warnings": list(pool.warnings),
        "callsPerSecond": round(pool.rate, 2),
        "outcomes": dict(pool.outcomes),
        "waiting": pool.waiting,
        "sessions": pool.sessions,
        "catalogTools": pool.catalog_tools,
        "endpoints": [_endpoint(endpoint) for endpoint in pool.endpoints],
        "retries": dict(pool.retries),
        "hedges": pool.hedges,
        "breakers": _breakers(pool.endpoints),
        "cache": None
        if cache is None
        else {
            "type": cache.type,
            "hits": cache.hits,
            "misses": cache.misses,
            "hitRate": round(cache.hits / (cache.hits + cache.misses), 4) if cache.hits + cache.misses else None,
            "coalesced": cache.coalesced,
            "stale": cache.stale,
            "entries": cache.entries,
            "bytes": cache.bytes,
            "trouble": cache.trouble,
        },
        "learned": None
        if pool.learned is None
        else [
            {
                "name": line.name,
                "errorClass": line.error_class,
                "attempt": line.attempt,
                "wait": line.wait,
                "rate": round(line.rate, 3),
                "trials": round(line.trials, 1),
                "used": line.used,
            }
            for line in pool.learned
        ],
        "lost": [
            {
                "reason": loss.reason,
                "since": rfc3339(loss.since),
                "last": rfc3339(loss.last),
                "count": loss.count,
                "total": loss.total,
                "name": loss.name,
                "endpoint": loss.endpoint,
                "detail": loss.detail,
            }
            for loss in pool.losses
        ],
        "events": [
            {
                "at": rfc3339(event.at),
                "endpoint": event.endpoint,
                "reason": event.reason,
                "detail": event.detail,
                "count": event.count,
            }
            for event in pool.events
        ],
    }


def _endpoint(endpoint: EndpointView) -> Body:
    return {
        "url": endpoint.url,
        "state": endpoint.state,
        "reason": endpoint.reason,
        "since": rfc3339(endpoint.since),
        "zone": endpoint.zone,
        "priority": endpoint.priority,
        "weight": endpoint.weight,
        "score": round(endpoint.score, 3),
        "latency": round(endpoint.latency, 6)
        if endpoint.latency is not None and endpoint.state in _LATENCY_MEANS_SOMETHING
        else None,
        "share": None if endpoint.share is None else round(endpoint.share, 4),
        "expectedShare": None if endpoint.expected_share is None else round(endpoint.expected_share, 4),
        "callsPerSecond": round(endpoint.rate, 2),
        "inFlight": endpoint.active_requests,
        "sessions": endpoint.sessions,
        "connections": dict(endpoint.connections),
        "attempts": endpoint.requests,
        "failures": endpoint.failures,
        "ejections": endpoint.ejections,
        "checks": endpoint.health_checks,
        "failedChecks": endpoint.health_check_failures,
        "processes": None if endpoint.processes is None else _processes(endpoint.processes),
    }


def _processes(processes: ProcessesView) -> Body:
    return {
        "running": processes.running,
        "starts": processes.starts,
        "unreadableLines": processes.unreadable,
        "firstUnreadableLine": processes.first_unreadable,
        "lastEnd": processes.last_end,
    }


def _breakers(endpoints: Iterable[EndpointView]) -> list[Body]:
    found = [
        {"tool": tool, "endpoint": endpoint.url, "state": state}
        for endpoint in endpoints
        for tool, state in endpoint.breakers.items()
        if state != "closed"
    ]
    found.sort(key=lambda line: (line["state"] != "open", line["tool"], line["endpoint"]))
    return found[:MAX_BREAKERS]


def _worst(statuses: Iterable[Status]) -> Status:
    found = set(statuses)
    return "unhealthy" if "unhealthy" in found else "degraded" if "degraded" in found else "healthy"
