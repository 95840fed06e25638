"""How a pool is, as its clients feel it."""

from __future__ import annotations

from mcppool.observe.plural import counted
from mcppool.observe.views import ComponentHealth
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.routing.no_endpoint import whats_wrong


def pool_health(pool: ServerPool, now: float) -> ComponentHealth:
    """`unhealthy`: it can answer nobody, or its calls all fail. `degraded`: some of its servers take no calls, or none
    has answered yet."""
    endpoints = pool.endpoints.values()
    if not endpoints:
        return ComponentHealth("unhealthy", whats_wrong(pool))
    if not pool.probed.is_set():
        return ComponentHealth("degraded", "no server has answered yet")
    unchecked = pool.choice.unchecked and not pool.calls.all_fail(now)
    if not unchecked and not any(e.available and e.stats.answered for e in endpoints):
        return ComponentHealth("unhealthy", f"no server takes calls: {whats_wrong(pool)}")
    if pool.calls.all_fail(now):
        return ComponentHealth(
            "unhealthy", f"the last {counted(pool.calls.failed_in_a_row, 'call')} failed: {pool.calls.why}"
        )
    if unchecked:
        return ComponentHealth("degraded", whats_wrong(pool))
    out = sum(not e.available for e in endpoints)
    if out:
        those = counted(out, "server", ("takes", "take"), of=len(endpoints))
        return ComponentHealth("degraded", f"{those} no calls: {whats_wrong(pool)}")
    return ComponentHealth("healthy", f"{counted(len(endpoints), 'server', ('takes', 'take'))} calls")
