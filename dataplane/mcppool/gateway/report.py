"""What the gateway tells about its pools: for metrics, for readiness, for health."""

from __future__ import annotations

from collections.abc import Mapping

from mcppool.cache.memory import MemoryStore
from mcppool.observe.views import CacheView, ComponentHealth, ConfigView, EndpointView, PoolView
from mcppool.pipeline.breakers import worst_states
from mcppool.pipeline.pool import Pool
from mcppool.upstream.endpoint import Endpoint


def pool_view(pool: Pool) -> PoolView:
    """One pool at this moment."""
    endpoints = [*pool.endpoints.values(), *pool.leaving]
    return PoolView(
        name=pool.name,
        endpoints=tuple(endpoint_view(endpoint) for endpoint in endpoints),
        waiting=sum(endpoint.connections.waiting for endpoint in endpoints),
        sessions=pool.sessions.remembered,
        catalog_tools=len(pool.catalog.tools),
        cache=cache_view(pool),
        breakers=worst_states(pool),
    )


def cache_view(pool: Pool) -> CacheView | None:
    """A pool's cache at this moment."""
    caching = pool.caching
    if caching is None:
        return None
    store = caching.store
    if isinstance(store, MemoryStore):
        return CacheView("memory", len(store), store.size)
    return CacheView(caching.spec.type, trouble=store.trouble)


def endpoint_view(endpoint: Endpoint) -> EndpointView:
    """One endpoint at this moment."""
    connections, stats = endpoint.connections, endpoint.stats
    return EndpointView(
        url=endpoint.key,
        available=endpoint.available,
        reason=None if endpoint.available else endpoint.state,
        draining=endpoint.draining,
        weight=endpoint.spec.weight,
        active_requests=endpoint.active,
        connections={"connected": connections.idle + len(connections.leased), "connecting": connections.dialling},
        requests=stats.requests,
        failures=stats.failures,
        ejections=stats.ejections,
        latency=endpoint.latency.estimate or None,
        health_checks=stats.checks,
        health_check_failures=stats.failed_checks,
    )


def readiness(pools: Mapping[str, Pool]) -> dict[str, str]:
    """Pools that are not ready, and why."""
    return {
        name: "its endpoints have not been looked at yet" for name, pool in pools.items() if not pool.probed.is_set()
    }


def component_health(pools: Mapping[str, Pool], config: ConfigView) -> dict[str, ComponentHealth]:
    """The founding document's report: each component, healthy or not, with a sentence that says why."""
    return {
        "connection_pool": _connections(pools),
        "balancer": _balancer(pools),
        "cache": _cache(pools),
        "configuration": _configuration(config),
    }


def _connections(pools: Mapping[str, Pool]) -> ComponentHealth:
    endpoints = [e for pool in pools.values() for e in pool.endpoints.values()]
    if not endpoints:
        return ComponentHealth("unhealthy", "no server is configured")
    down = [e.key for e in endpoints if e.lost is not None]
    if len(down) == len(endpoints):
        return ComponentHealth("unhealthy", f"none of {len(endpoints)} endpoints can be reached")
    if down:
        return ComponentHealth("degraded", f"{len(down)} of {len(endpoints)} endpoints cannot be reached")
    return ComponentHealth("healthy", f"{len(endpoints)} endpoints can be reached")


def _balancer(pools: Mapping[str, Pool]) -> ComponentHealth:
    if not pools:
        return ComponentHealth("unhealthy", "no pool is configured")
    empty = sorted(name for name, pool in pools.items() if not pool.candidates)
    if empty:
        return ComponentHealth(
            "unhealthy" if len(empty) == len(pools) else "degraded", f"no endpoint is available in {', '.join(empty)}"
        )
    out = sum(not e.available for pool in pools.values() for e in pool.endpoints.values())
    if out:
        return ComponentHealth("degraded", f"{out} endpoints are left out")
    return ComponentHealth("healthy", "all endpoints take calls")


def _cache(pools: Mapping[str, Pool]) -> ComponentHealth:
    views = {name: view for name, pool in pools.items() if (view := cache_view(pool)) is not None}
    if not views:
        return ComponentHealth("healthy", "switched off")
    away = [f"{name}: {view.type}: {view.trouble}" for name, view in sorted(views.items()) if view.trouble is not None]
    if away:  # calls go on without it
        return ComponentHealth("degraded", f"calls are not cached; {'; '.join(away)}")
    types = ", ".join(sorted({view.type for view in views.values()}))
    return ComponentHealth("healthy", f"answers are kept: {types}")


def _configuration(config: ConfigView) -> ComponentHealth:
    if config.rejected is not None:
        return ComponentHealth("degraded", f"the newest was refused: {config.rejected.problems[0]}")
    return ComponentHealth("healthy", f"in force: {config.hash}")
