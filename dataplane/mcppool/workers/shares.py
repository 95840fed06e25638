"""Shares of the limits that no process counts for all: each process may use an equal part, rounded up.

SharedBuckets, places and sessions are not among them: the supervisor counts those for all processes (`shared_state`).
"""

from __future__ import annotations

from mcppool.spec import ListenerSpec, PoolSpec, Snapshot


def share_of(snapshot: Snapshot, count: int, number: int, memory: int) -> Snapshot:
    """The configuration for process `number` of `count`. `memory` is the default of `limits.memory` in bytes.

    Its hash stays that of the whole configuration.
    """
    limits = snapshot.limits.model_copy(update={"memory": (snapshot.limits.memory or memory) // count})
    shared = snapshot.model_copy(
        update={
            "listener": _listener(snapshot.listener, count),
            "limits": limits,
            "pools": tuple(_pool(pool, count, number) for pool in snapshot.pools),
            "published_hash": snapshot.hash,
        }
    )
    shared.__dict__.pop("hash", None)  # the copy of a computed value
    return shared if snapshot.provenance is None else shared.with_provenance(snapshot.provenance)


def _listener(listener: ListenerSpec, count: int) -> ListenerSpec:
    streams = _part(listener.max_streams, count)
    whole = listener.max_connections
    connections = None if whole is None else _part(whole, count)
    return listener.model_copy(
        update={
            "max_connections": connections,
            "max_connections_per_client": _at_most(listener.max_connections_per_client, connections),
            "max_streams": streams,
            "max_streams_per_client": _at_most(listener.max_streams_per_client, streams),
            "max_streams_per_principal": _at_most(listener.max_streams_per_principal, streams),
        }
    )


def _pool(pool: PoolSpec, count: int, number: int) -> PoolSpec:
    connections, sessions, cache = pool.connection_pool, pool.sessions, pool.cache
    max_sessions = _part(sessions.max_sessions, count)
    update: dict[str, object] = {
        "connection_pool": connections.model_copy(
            update={
                "min_connections": _part(connections.min_connections, count),
                "max_connections": _part(connections.max_connections, count),
                "max_waiting": _part(connections.max_waiting, count),
            }
        ),
        "sessions": sessions.model_copy(
            update={
                "max_sessions": max_sessions,
                "max_bytes": _part(sessions.max_bytes, count),
                "max_sessions_per_client": _at_most(sessions.max_sessions_per_client, max_sessions),
            }
        ),
        "cache": cache.model_copy(
            update={"max_size": _part(cache.max_size, count), "max_bytes": _part(cache.max_bytes, count)}
        ),
        "retry_policy": pool.retry_policy.model_copy(
            update={"budget_min_per_second": _part(pool.retry_policy.budget_min_per_second, count)}
        ),
    }
    if pool.audit.file is not None:
        update["audit"] = pool.audit.model_copy(update={"file": f"{pool.audit.file}.worker-{number}"})
    return pool.model_copy(update=update)


def _part(whole: int, count: int) -> int:
    return -(-whole // count)


def _at_most(limit: int | None, most: int | None) -> int | None:
    return limit if limit is None or most is None else min(limit, most)
