"""Written keys without an effect in the rest of the configuration: `cache.ttl` while `cache.type` is `none`.

They contradict nothing, and a section at the top may be meant for other pools: they are reported, not refused.
"""

from __future__ import annotations

from collections.abc import Iterator

from mcppool.spec.layers import Layers
from mcppool.spec.pool import PoolSpec
from mcppool.spec.snapshot import Snapshot

Key = tuple[str, ...]
_REDIS_KEYS = ("redis_url", "redis_prefix", "redis_timeout", "redis_password_file")
_SQL_KEYS = ("sql_url", "sql_prefix", "sql_timeout", "sql_password_file", "sql_ca_file")


def idle_keys(snapshot: Snapshot) -> list[str]:
    """A sentence for each written key that affects no pool; none for a snapshot of the operator."""
    provenance = snapshot.provenance
    if provenance is None:
        return []
    idle: dict[tuple[str, Key], str] = {}
    at_work: set[tuple[str, Key]] = set()
    for pool, layers in zip(snapshot.pools, provenance.pools, strict=True):
        without_effect = dict(_without_effect(pool))
        for key in _written(layers):
            where = (layers.origins[key].text, key)
            if key in without_effect:
                idle.setdefault(where, without_effect[key])
            else:
                at_work.add(where)
    if not snapshot.metrics.enabled:
        for key in _written(provenance.process):
            if key[0] == "metrics" and len(key) > 1 and key[1] != "enabled":
                idle[provenance.process.origins[key].text, key] = "metrics.enabled is false"
    return [
        f"{text}: {'.'.join(key)} has no effect, because {why}"
        for (text, key), why in idle.items()
        if (text, key) not in at_work
    ]


def _written(layers: Layers) -> Iterator[Key]:
    for place, origin in layers.origins.items():
        key = tuple(part for part in place if isinstance(part, str))
        if origin.place is not None and len(key) == len(place):  # a list has an effect as a whole
            yield key


def _without_effect(pool: PoolSpec) -> Iterator[tuple[Key, str]]:
    """Keys that would have no effect on this pool, written or not, with the reason."""
    cache, balancer = pool.cache, pool.load_balancer
    if cache.type == "none":
        for key in ("ttl", "honor_hints"):
            yield ("cache", key), "cache.type is none"
        for tool in pool.tools:
            yield ("tools", tool, "cache_ttl"), "cache.type is none"
    if cache.type not in ("memory", "sql"):
        for key in ("max_size", "max_bytes"):
            yield ("cache", key), f"cache.type is {cache.type}"
    if "redis" not in (cache.type, pool.sessions.store, pool.rate_limit.store):
        for key in _REDIS_KEYS:
            yield ("cache", key), "cache.type, sessions.store and rate_limit.store are not redis"
    if cache.type != "sql":
        for key in _SQL_KEYS:
            yield ("cache", key), f"cache.type is {cache.type}"
    elif cache.sql_url is None or cache.sql_url.startswith("sqlite:"):
        for key in ("sql_password_file", "sql_ca_file"):
            yield ("cache", key), "an SQLite file has neither"
    elif "%2f" in cache.sql_url.lower():
        yield ("cache", "sql_ca_file"), "a socket of this machine has no TLS"
    yield from _without_effect_on_access(pool)
    if balancer.strategy != "consistent_hash":
        yield ("load_balancer", "hash_key"), f"load_balancer.strategy is {balancer.strategy}"
    if balancer.strategy == "round_robin":
        yield ("load_balancer", "slow_start"), "load_balancer.strategy is round_robin, which has no shares"
    if pool.catalog.pin == "off":
        yield ("catalog", "lock_file"), "catalog.pin is off"
    if not pool.command:
        for key in type(pool.local).model_fields:
            yield ("local", key), "the pool has no command"
    if not any(url.startswith("https:") for url in (pool.dns or "", *(endpoint.url for endpoint in pool.endpoints))):
        for key in type(pool.tls).model_fields:
            yield ("tls", key), "no endpoint has an https URL"


def _without_effect_on_access(pool: PoolSpec) -> Iterator[tuple[Key, str]]:
    audit, access = pool.audit, pool.access
    if audit.type == "none":
        idle, why = tuple(type(audit).model_fields), "audit.type is none"
    elif audit.type != "file":
        idle, why = ("file", "max_size", "keep"), f"audit.type is {audit.type}"
    else:
        idle, why = (), ""
    for key in idle:
        if key != "type":
            yield ("audit", key), why
    if audit.type != "none" and not audit.arguments:
        yield ("audit", "redact"), "audit.arguments is false"
    tracing = pool.tracing
    if not tracing.enabled:
        for key in type(tracing).model_fields:
            if key != "enabled":
                yield ("tracing", key), "tracing.enabled is false"
    elif not tracing.metrics:
        yield ("tracing", "metrics_interval"), "tracing.metrics is false"
    if not access.allow and not access.deny and all(tool.access == "allow" for tool in pool.tools.values()):
        for key in ("mode", "denied"):
            yield ("access", key), "there are no access rules"
