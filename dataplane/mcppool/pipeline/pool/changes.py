"""Changes that a new specification makes in a running pool: a pure diff, which `ServerPool.configure` applies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from mcppool.pipeline.redis import redis_key
from mcppool.pipeline.sql import sql_key
from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.upstream.stdio.replicas import start_settings

STORE = ("type", "redis_url", "redis_prefix", "redis_timeout", "redis_password_file")
"""Keys of `cache` that need another store."""


@dataclass(frozen=True, slots=True)
class Changes:
    """`removed` are the keys of leaving endpoints, `added` the new endpoints; endpoints that stay get their new
    settings. The other fields name the parts that are made anew."""

    removed: tuple[str, ...]
    added: tuple[EndpointSpec, ...]
    tls: bool
    outbound: bool
    pins: bool
    redis: bool
    sql: bool
    admission: bool
    cache: bool
    adaptive: bool


def compare(
    old: PoolSpec, new: PoolSpec, present: Mapping[str, EndpointSpec], wanted: Mapping[str, EndpointSpec]
) -> Changes:
    """The changes for a pool with the endpoints `present` and the configuration `new` with `wanted`.

    An endpoint with another `host` is another server at the same address. After a change of `tls`, no connection may
    outlive its trust: all endpoints leave and come again.
    """
    tls = old.tls != new.tls
    removed = tuple(k for k, e in present.items() if tls or k not in wanted or wanted[k].host != e.host)
    redis, sql = redis_key(old) != redis_key(new), sql_key(old) != sql_key(new)
    return Changes(
        removed=removed,
        added=tuple(e for key, e in wanted.items() if key not in present or key in removed),
        tls=tls,
        pins=(old.catalog.pin, old.catalog.lock_file) != (new.catalog.pin, new.catalog.lock_file),
        outbound=old.auth.outbound != new.auth.outbound,
        redis=redis,
        sql=sql,
        admission=redis or (old.limits, old.rate_limit, old.tools) != (new.limits, new.rate_limit, new.tools),
        cache=redis or sql or any(getattr(old.cache, name) != getattr(new.cache, name) for name in STORE),
        adaptive=(old.retry_policy, old.tools) != (new.retry_policy, new.tools),
    )


def can_become(old: PoolSpec, new: PoolSpec) -> bool:
    """Whether a running pool can become `new`; local servers with another start need a new pool."""
    return start_settings(old) == start_settings(new)
