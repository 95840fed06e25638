"""Families about the cache and Redis."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from mcppool.observe.cache_counters import CacheCounters
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.views import PoolView


def cache_families(metrics: GatewayMetrics, pools: Sequence[PoolView]) -> Iterator[Metric]:
    """The caches."""
    labels = ["cache_type", "tool_name"]
    hits = CounterMetricFamily("mcp_cache_hits_total", "Answers given from the cache.", labels=labels)
    misses = CounterMetricFamily("mcp_cache_misses_total", "Cacheable calls that went to a server.", labels=labels)
    evictions = CounterMetricFamily(
        "mcp_cache_evictions_total", "Answers removed from the cache, by reason.", labels=["cache_type", "reason"]
    )
    coalesced = CounterMetricFamily(
        "mcppool_cache_coalesced_total", "Calls that got the answer of an equal call in flight.", labels=["pool"]
    )
    stale = CounterMetricFamily(
        "mcppool_cache_stale_total", "Expired answers given because no server could answer.", labels=["pool"]
    )
    counted = [each for pool in metrics.pools() for each in pool.caches.items()]
    # These names are the founding document's and have no pool label: pools with the same labels share one series.
    totals: dict[str, CacheCounters] = {}
    for type, counters in (*metrics.former_caches.items(), *counted):
        totals.setdefault(type, CacheCounters()).add(counters)
    for type, total in totals.items():
        for family, counts in ((hits, total.hits), (misses, total.misses), (evictions, total.evictions)):
            for label, count in counts.items():
                family.add_metric([type, label], count)
    for pool in metrics.pools():  # a pool that has had caches of two types still has one series
        if pool.caches:
            coalesced.add_metric([pool.name], sum(counters.coalesced for counters in pool.caches.values()))
            stale.add_metric([pool.name], sum(counters.stale for counters in pool.caches.values()))
    items = GaugeMetricFamily(
        "mcp_cache_size_items", "Answers in the cache, in memory or in a database.", labels=["cache_type"]
    )
    memory = GaugeMetricFamily(
        "mcp_cache_memory_usage_bytes", "Bytes of the answers in the cache.", labels=["cache_type"]
    )
    errors = CounterMetricFamily(
        "mcppool_sql_errors_total", "Faults of the cache's database, by kind.", labels=["pool", "kind"]
    )
    for pool in metrics.pools():
        for kind, count in pool.sql_errors.items():
            errors.add_metric([pool.name, kind], count)
    up = GaugeMetricFamily("mcppool_cache_up", "1 while the pool's cache works.", labels=["pool", "cache_type"])
    caches = [(view.name, view.cache) for view in pools if view.cache is not None]
    for type in sorted({cache.type for _, cache in caches if cache.entries is not None}):
        held = [cache for _, cache in caches if cache.type == type]
        items.add_metric([type], sum(cache.entries or 0 for cache in held))
        memory.add_metric([type], sum(cache.bytes or 0 for cache in held))
    for name, cache in caches:
        up.add_metric([name, cache.type], cache.trouble is None)
    yield from (hits, misses, evictions, coalesced, stale, items, memory, up, errors)


def redis_families(metrics: GatewayMetrics, pools: Sequence[PoolView]) -> Iterator[Metric]:
    """Redis."""
    errors = CounterMetricFamily("mcppool_redis_errors_total", "Faults of Redis, by kind.", labels=["pool", "kind"])
    for pool in metrics.pools():
        for kind, count in pool.redis_errors.items():
            errors.add_metric([pool.name, kind], count)
    up = GaugeMetricFamily("mcppool_redis_up", "1 while the pool's Redis works.", labels=["pool"])
    for view in pools:
        if view.redis is not None:
            up.add_metric([view.name], view.redis.trouble is None)
    yield from (errors, up)
