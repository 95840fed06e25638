"""Which pools are ready, and how many of their servers answer."""

from __future__ import annotations

from collections.abc import Mapping

from mcppool.pipeline.pool.pool import ServerPool
from mcppool.spec.plural import counted


def readiness(pools: Mapping[str, ServerPool]) -> dict[str, str]:
    """Pools that are not ready, with the reasons."""
    return {name: "its endpoints have not been checked yet" for name, pool in pools.items() if not pool.probed.is_set()}


def answering(pools: Mapping[str, ServerPool]) -> dict[str, str]:
    """For each pool, the number of its servers that have answered, or the reason why none has."""
    return {name: answers(pool) for name, pool in pools.items()}


def answers(pool: ServerPool) -> str:
    """The number of servers of a pool that answer; if none ever has, the reason."""
    if not any(e.stats.answered for e in pool.endpoints.values()):
        return f"no server has answered yet: {pool.outage.describe()}"
    up = sum(e.stats.answered and not e.lost for e in pool.endpoints.values())
    return counted(up, "server", ("answers", "answer"), of=len(pool.endpoints))
