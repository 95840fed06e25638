"""Notes on valid configurations that may not do what their author expects."""

from __future__ import annotations

from mcppool.spec.idle_keys import idle_keys
from mcppool.spec.pool import DEFAULT_REPLICAS, PoolSpec
from mcppool.spec.snapshot import Snapshot


def advice(snapshot: Snapshot) -> tuple[str, ...]:
    """One sentence for each note: the problem, and the key to set."""
    return (*_redis_without_keys(snapshot), *_split_state(snapshot), *idle_keys(snapshot))


def _split_state(snapshot: Snapshot) -> list[str]:
    """Local servers that run as several processes."""
    found = []
    for pool in snapshot.pools:
        count = pool.replicas or DEFAULT_REPLICAS
        if pool.command and count > 1:
            which = "calls" if pool.sessions.stateless else "calls without a session"
            found.append(
                f"pool {pool.name}: {count} processes of one program share its files, but not their memory; {which} go "
                "to all of them in turn. If its tools change state in memory or files, set replicas = 1"
            )
    return found


def redis_uses(pool: PoolSpec) -> tuple[str, ...]:
    """The sections of a pool that store something in Redis."""
    uses = {"cache": pool.cache.type, "sessions": pool.sessions.store, "rate_limit": pool.rate_limit.store}
    return tuple(name for name, store in uses.items() if store == "redis")


def _redis_without_keys(snapshot: Snapshot) -> list[str]:
    if snapshot.listener.sealing_keys is not None:
        return []
    return [
        f"pool {pool.name}: the data of {', '.join(uses)} in Redis is sealed with a key that this process makes at its "
        "start, so other gateways cannot read it, nor this one after a restart. Set listener.sealing_keys to a file "
        "that all gateways have"
        for pool in snapshot.pools
        if (uses := redis_uses(pool))
    ]
