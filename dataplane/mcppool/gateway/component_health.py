"""The health of each component of a gateway, with the reason."""

from __future__ import annotations

from collections.abc import Mapping
from time import monotonic

from mcppool.gateway.pool_health import pool_health
from mcppool.gateway.pool_view import cache_view
from mcppool.observe.views import ComponentHealth, ConfigView
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.routing.breakers import worst_states
from mcppool.policy.circuit_breaker import BreakerState
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec.plural import counted


def component_health(pools: Mapping[str, ServerPool], config: ConfigView) -> dict[str, ComponentHealth]:
    """The founding document's report: the health of each component, with a sentence that gives the reason."""
    now = monotonic()
    return {
        **{f"pool {name}": pool_health(pool, now) for name, pool in sorted(pools.items())},
        "connection_pool": _connections(pools),
        "balancer": _balancer(pools),
        "breakers": _breakers(pools),
        "cache": _cache(pools),
        "redis": _redis(pools),
        "configuration": _configuration(config),
    }


def _connections(pools: Mapping[str, ServerPool]) -> ComponentHealth:
    endpoints = [e for pool in pools.values() for e in pool.endpoints.values()]
    if not endpoints:
        return ComponentHealth("unhealthy", "no server is configured")
    down = [e.key for e in endpoints if e.lost]
    if len(down) == len(endpoints):
        return ComponentHealth("unhealthy", f"cannot reach {counted(len(endpoints), 'endpoint')}")
    if down:
        return ComponentHealth("degraded", f"cannot reach {len(down)} of {len(endpoints)} endpoints")
    return ComponentHealth("healthy", f"can reach {counted(len(endpoints), 'endpoint')}")


def _balancer(pools: Mapping[str, ServerPool]) -> ComponentHealth:
    if not pools:
        return ComponentHealth("unhealthy", "no pool is configured")
    empty = sorted(name for name, pool in pools.items() if not pool.picker.candidates)
    if empty:
        return ComponentHealth(
            "unhealthy" if len(empty) == len(pools) else "degraded", f"no endpoint is available in {', '.join(empty)}"
        )
    out = sum(not e.available for pool in pools.values() for e in pool.endpoints.values())
    if out:
        return ComponentHealth("degraded", f"{counted(out, 'endpoint', ('is', 'are'))} left out")
    return ComponentHealth("healthy", "all endpoints take calls")


def _breakers(pools: Mapping[str, ServerPool]) -> ComponentHealth:
    states = {
        (name, tool): state for name, pool in pools.items() for tool, state in worst_states(pool.endpoints).items()
    }
    broken = sorted(f"{tool} of {name}" for (name, tool), state in states.items() if state is not BreakerState.CLOSED)
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        return ComponentHealth("degraded", f"not closed for {', '.join(broken[:3])}{more}")
    return ComponentHealth("healthy", "all breakers are closed")


def _cache(pools: Mapping[str, ServerPool]) -> ComponentHealth:
    views = {name: view for name, pool in pools.items() if (view := cache_view(pool)) is not None}
    if not views:
        return ComponentHealth("healthy", "switched off")
    away = [f"{name}: {view.type}: {view.trouble}" for name, view in sorted(views.items()) if view.trouble is not None]
    if away:  # calls go on without it
        return ComponentHealth("degraded", f"calls are not cached; {'; '.join(away)}")
    types = ", ".join(sorted({view.type for view in views.values()}))
    return ComponentHealth("healthy", f"answers are cached: {types}")


def _redis(pools: Mapping[str, ServerPool]) -> ComponentHealth:
    used = {name: pool.redis for name, pool in sorted(pools.items()) if pool.redis is not None}
    if not used:
        return ComponentHealth("healthy", "not used")
    away = [f"{name}: {redis.trouble}" for name, redis in used.items() if redis.trouble is not None]
    if away:
        return ComponentHealth("degraded", f"this gateway uses only its own data; {'; '.join(away)}")
    uses = ", ".join(sorted({use for redis in used.values() for use in redis.uses}))
    return ComponentHealth("healthy", f"in use for {uses}")


def _configuration(config: ConfigView) -> ComponentHealth:
    if config.rejected is not None:
        return ComponentHealth("degraded", f"the gateway refused the newest one: {config.rejected.problems[0]}")
    return ComponentHealth("healthy", f"in force: {config.hash}")


def memory_health(memory: MemoryBudget) -> ComponentHealth:
    """Whether the process has room for new work."""
    if memory.limit is None:
        return ComponentHealth("healthy", "no limit")
    text = f"{memory.used >> 20} MiB of {memory.limit >> 20} MiB in use"
    if memory.full:
        return ComponentHealth("unhealthy", f"{text}: new work is refused; limits.memory sets the limit")
    return ComponentHealth("healthy", text)
