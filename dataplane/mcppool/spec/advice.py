"""Notes on valid configurations that may not do what their author expects."""

from __future__ import annotations

from mcppool.spec.idle_keys import idle_keys
from mcppool.spec.pool import DEFAULT_REPLICAS, PoolSpec
from mcppool.spec.snapshot import Snapshot


def advice(snapshot: Snapshot) -> tuple[str, ...]:
    """One sentence for each note: the problem, and the key to set."""
    return (
        *_redis_without_keys(snapshot),
        *_database_without_keys(snapshot),
        *_split_state(snapshot),
        *_shadow_rules(snapshot),
        *_one_audit_file(snapshot),
        *idle_keys(snapshot),
    )


def _shadow_rules(snapshot: Snapshot) -> list[str]:
    return [
        f"pool {pool.name}: access.mode is shadow, so the access rules refuse nothing"
        for pool in snapshot.pools
        if pool.access.mode == "shadow" and (pool.access.allow or pool.access.deny)
    ]


def _one_audit_file(snapshot: Snapshot) -> list[str]:
    """Pools that share an audit log, and want different sizes of it."""
    wanted: dict[str, tuple[str, object]] = {}
    found = []
    for pool in snapshot.pools:
        audit = pool.audit
        if audit.type != "file" or audit.file is None:
            continue
        bounds = audit.max_size, audit.keep, audit.buffer
        other, theirs = wanted.setdefault(audit.file, (pool.name, bounds))
        if theirs != bounds:
            found.append(
                f"pools {other} and {pool.name} share the audit log {audit.file}, and differ in audit.max_size, "
                "audit.keep or audit.buffer; the last one counts"
            )
    return found


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


def _database_without_keys(snapshot: Snapshot) -> list[str]:
    if snapshot.listener.sealing_keys is not None:
        return []
    return [
        f"pool {pool.name}: the cached answers in the database are sealed with a key that this process makes at its "
        "start, so other gateways cannot read them, nor this one after a restart. Set listener.sealing_keys to a file "
        "that all gateways have"
        for pool in snapshot.pools
        if pool.cache.type == "sql"
    ]
