"""The health of a pool, as its clients experience it."""

from __future__ import annotations

from mcppool.observe.views import ComponentHealth
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.spec.plural import counted


def pool_health(pool: ServerPool, now: float) -> ComponentHealth:
    """`unhealthy`: it can answer no client, or all its calls fail. `degraded`: some of its servers take no calls, or
    none has answered yet."""
    endpoints = pool.endpoints.values()
    if not endpoints:
        return ComponentHealth("unhealthy", pool.outage.describe())
    if not pool.probed.is_set():
        return ComponentHealth("degraded", "no server has answered yet")
    unchecked = pool.picker.unchecked and not pool.calls.all_fail(now)
    if not unchecked and not any(e.available and e.stats.answered for e in endpoints):
        return ComponentHealth("unhealthy", f"no server takes calls: {pool.outage.describe()}")
    if pool.calls.all_fail(now):
        return ComponentHealth(
            "unhealthy", f"the last {counted(pool.calls.failed_in_a_row, 'call')} failed: {pool.calls.why}"
        )
    if unchecked:
        return ComponentHealth("degraded", pool.outage.describe())
    out = sum(not e.available for e in endpoints)
    if out:
        those = counted(out, "server", ("takes", "take"), of=len(endpoints))
        return ComponentHealth("degraded", f"{those} no calls: {pool.outage.describe()}")
    return ComponentHealth("healthy", f"{counted(len(endpoints), 'server', ('takes', 'take'))} calls")
