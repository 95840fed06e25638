"""The health of each component, judged from what the gateway tells about itself. Pure functions."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from mcppool.observe.views import ComponentHealth, ConfigView, PoolView, Status

_WORST: tuple[Status, ...] = ("unhealthy", "degraded", "healthy")


def overall(components: Mapping[str, ComponentHealth]) -> Status:
    """The worst of all."""
    found = {component.status for component in components.values()}
    return next((status for status in _WORST if status in found), "healthy")


def connection_pool(pools: Sequence[PoolView]) -> ComponentHealth:
    """Unhealthy with no server configured, or where a pool has no endpoint at all; else says how many connections are
    open."""
    if not pools:
        return ComponentHealth("unhealthy", "no pool is configured")
    if empty := [pool.name for pool in pools if not pool.endpoints]:
        return ComponentHealth("unhealthy", f"without endpoints: {_names(empty)}")
    states = [endpoint.connections for pool in pools for endpoint in pool.endpoints]
    connected = sum(state.get("connected", 0) for state in states)
    failing = sum(state.get("error", 0) + state.get("reconnecting", 0) for state in states)
    message = f"{connected} connections to {len(states)} endpoints"
    if failing:
        return ComponentHealth("degraded", f"{message}, {failing} cannot be established")
    return ComponentHealth("healthy", message)


def balancer(pools: Sequence[PoolView]) -> ComponentHealth:
    """Unhealthy where a pool has no available endpoint, degraded where one is left out without being drained."""
    if not pools:
        return ComponentHealth("unhealthy", "no pool is configured")
    endpoints = [endpoint for pool in pools for endpoint in pool.endpoints]
    message = f"{sum(endpoint.available for endpoint in endpoints)} of {len(endpoints)} endpoints available"
    if down := [pool.name for pool in pools if not any(endpoint.available for endpoint in pool.endpoints)]:
        return ComponentHealth("unhealthy", f"{message}, none in: {_names(down)}")
    if any(not endpoint.available and not endpoint.draining for endpoint in endpoints):
        return ComponentHealth("degraded", message)
    return ComponentHealth("healthy", message)


def configuration(config: ConfigView) -> ComponentHealth:
    """Unhealthy before the first configuration; degraded while the newest is refused and an older one is in force."""
    if config.rejected is not None:
        message = f"refused: {'; '.join(config.rejected.problems)}"
        return ComponentHealth("unhealthy" if config.hash is None else "degraded", message)
    if config.hash is None:
        return ComponentHealth("unhealthy", "no configuration yet")
    return ComponentHealth("healthy", f"{config.hash} in force")


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
