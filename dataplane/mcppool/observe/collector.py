"""The gateway's counters and views as Prometheus families, made at scrape time.

The families `mcp_*` keep the names and labels of the founding document, where `server_id` is the pool. Our own families
are `mcppool_*`. A series lasts as long as its subject: the tool, endpoint or pool.
"""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, ProcessCollector
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

import mcppool
from mcppool import supervision
from mcppool.observe.histogram import Histogram
from mcppool.observe.metrics import (
    EXECUTION_STATUSES,
    GATEWAY_COUNTERS,
    OTHER,
    POOL_COUNTERS,
    CacheCounters,
    Family,
    GatewayMetrics,
)
from mcppool.observe.views import ENDPOINT_COUNTERS, ENDPOINT_GAUGES, POOL_GAUGES, ConfigView, EndpointView, PoolView
from mcppool.policy.memory_budget import MemoryBudget

_OPERATION = ["mcp_method_name", "gen_ai_tool_name", "error_type", "rpc_response_status_code", "mcp_protocol_version"]
DURATION_FAMILIES: Final = (
    (
        "mcp_server_operation_duration_seconds",
        "Time from a client's message to the end of its answer; only with `tracing`.",
        _OPERATION,
        "server_operations",
    ),
    (
        "mcp_client_operation_duration_seconds",
        "Time from a message to a server to the end of its answer; only with `tracing`.",
        _OPERATION,
        "client_operations",
    ),
    (
        "mcp_server_session_duration_seconds",
        "Time from the beginning of a client's session to its end; only with `tracing`.",
        ["mcp_protocol_version"],
        "server_sessions",
    ),
    (
        "mcp_client_session_duration_seconds",
        "Time from the beginning of a session at a server to its end; only with `tracing`.",
        ["mcp_protocol_version"],
        "client_sessions",
    ),
)

Pools = Callable[[], Sequence[PoolView]]
Config = Callable[[], ConfigView]


def registry(
    metrics: GatewayMetrics, pools: Pools, config: Config, memory: MemoryBudget | None = None
) -> CollectorRegistry:
    """A registry with all families of one gateway process."""
    made = CollectorRegistry(auto_describe=False)
    made.register(GatewayCollector(metrics, pools, config, memory))
    ProcessCollector(registry=made)
    return made


class GatewayCollector(Collector):
    """Reads the counters, and asks for the views, once per scrape."""

    def __init__(
        self, metrics: GatewayMetrics, pools: Pools, config: Config, memory: MemoryBudget | None = None
    ) -> None:
        self._memory = memory or MemoryBudget()
        self._metrics = metrics
        self._pools = pools
        self._config = config

    def collect(self) -> Iterator[Metric]:
        """Every family, those without a series too."""
        pools = self._pools()
        yield from _connections(self._metrics, pools)
        yield from _tools(self._metrics)
        yield from _breakers(self._metrics, pools)
        yield from _cache(self._metrics, pools)
        yield from _redis(self._metrics, pools)
        yield from _requests(self._metrics)
        yield from _durations(self._metrics)
        yield from _access(self._metrics)
        counted = [([pool.name], pool) for pool in self._metrics.pools()]
        yield from _attribute_families(CounterMetricFamily, POOL_COUNTERS, ["pool"], counted)
        yield from _attribute_families(
            GaugeMetricFamily, POOL_GAUGES, ["pool"], [([pool.name], pool) for pool in pools]
        )
        yield from _endpoints(pools)
        yield from _listener(self._metrics)
        yield from _authentication(self._metrics)
        yield from _attribute_families(CounterMetricFamily, GATEWAY_COUNTERS, [], [([], self._metrics)])
        yield from _memory(self._memory)
        yield from _tasks()
        yield from _configuration(self._config())
        build = GaugeMetricFamily(
            "mcppool_build_info", "Always 1; the versions of mcppool and Python.", labels=["version", "python"]
        )
        build.add_metric([mcppool.__version__, platform.python_version()], 1)
        yield build


def _access(metrics: GatewayMetrics) -> Iterator[Metric]:
    denied = CounterMetricFamily(
        "mcppool_access_denied_total",
        "Requests that access rules refuse, or would refuse in mode `shadow`, by rule.",
        labels=["pool", "rule", "mode"],
    )
    for pool in metrics.pools():
        for (rule, mode), count in pool.access_denied.items():
            denied.add_metric([pool.name, rule, mode], count)
    yield denied


def _connections(metrics: GatewayMetrics, pools: Iterable[PoolView]) -> Iterator[Metric]:
    total = CounterMetricFamily(
        "mcp_connections_total",
        "Connections to servers, by the state that they entered.",
        labels=["server_id", "status"],
    )
    duration = HistogramMetricFamily(
        "mcp_connection_duration_seconds", "Time to establish a connection.", labels=["server_id"]
    )
    size = GaugeMetricFamily("mcp_connection_pool_size", "Open connections.", labels=["server_id"])
    for pool in metrics.pools():
        for status, count in pool.connections.items():
            total.add_metric([pool.name, status], count)
        _add_histogram(duration, [pool.name], pool.connection_duration)
    for view in pools:
        size.add_metric([view.name], sum(endpoint.connections.get("connected", 0) for endpoint in view.endpoints))
    yield from (total, duration, size)


def _tools(metrics: GatewayMetrics) -> Iterator[Metric]:
    labels = ["server_id", "tool_name"]
    executions = CounterMetricFamily("mcp_tool_executions_total", "Tool calls, by result.", labels=[*labels, "status"])
    duration = HistogramMetricFamily(
        "mcp_tool_execution_duration_seconds", "Time from the request to the end of its answer.", labels=labels
    )
    size = HistogramMetricFamily("mcp_tool_response_size_bytes", "Size of the answers of tools.", labels=labels)
    for pool in metrics.pools():
        for name, stats in pool.tools():
            for status in EXECUTION_STATUSES:
                executions.add_metric([pool.name, name, status], getattr(stats, status))
            _add_histogram(duration, [pool.name, name], stats.duration)
            _add_histogram(size, [pool.name, name], stats.size)
    yield from (executions, duration, size)


def _breakers(metrics: GatewayMetrics, pools: Iterable[PoolView]) -> Iterator[Metric]:
    labels = ["server_id", "tool_name"]
    state = GaugeMetricFamily(
        "mcp_circuit_breaker_state", "Worst breaker of the tool: 0 closed, 1 half-open, 2 open.", labels=labels
    )
    transitions = CounterMetricFamily(
        "mcp_circuit_breaker_transitions_total", "Changes of state of breakers.", labels=[*labels, "from", "to"]
    )
    views = {view.name: view for view in pools}
    for pool in metrics.pools():
        found = views[pool.name].breakers if pool.name in views else {}
        # Closed breakers are not stored, but every called tool has a series.
        for tool in {name for name, _ in pool.tools() if name != OTHER} | found.keys():
            state.add_metric([pool.name, tool], found.get(tool, 0))
        for (tool, before, after), count in pool.breaker_transitions.items():
            transitions.add_metric([pool.name, tool, before, after], count)
    yield from (state, transitions)


def _cache(metrics: GatewayMetrics, pools: Sequence[PoolView]) -> Iterator[Metric]:
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


def _redis(metrics: GatewayMetrics, pools: Sequence[PoolView]) -> Iterator[Metric]:
    errors = CounterMetricFamily("mcppool_redis_errors_total", "Faults of Redis, by kind.", labels=["pool", "kind"])
    for pool in metrics.pools():
        for kind, count in pool.redis_errors.items():
            errors.add_metric([pool.name, kind], count)
    up = GaugeMetricFamily("mcppool_redis_up", "1 while the pool's Redis works.", labels=["pool"])
    for view in pools:
        if view.redis is not None:
            up.add_metric([view.name], view.redis.trouble is None)
    yield from (errors, up)


def _requests(metrics: GatewayMetrics) -> Iterator[Metric]:
    requests = CounterMetricFamily(
        "mcppool_requests_total", "Requests, by result.", labels=["pool", "method", "outcome"]
    )
    retries = CounterMetricFamily(
        "mcppool_retries_total",
        "Attempts after the first, by the class of the preceding error.",
        labels=["pool", "class"],
    )
    for pool in metrics.pools():
        for (method, outcome), count in pool.requests.items():
            requests.add_metric([pool.name, method, outcome], count)
        for error_class, count in pool.retries.items():
            retries.add_metric([pool.name, error_class], count)
    yield from (requests, retries)


def _attribute_families(
    kind: type[CounterMetricFamily | GaugeMetricFamily],
    families: Iterable[Family],
    labels: list[str],
    things: Sequence[tuple[list[str], object]],
) -> Iterator[Metric]:
    """Families with a sample for each of `things`, which come with the values of their `labels`."""
    for attribute, name, text in families:
        family = kind(name, text, labels=labels)
        for values, thing in things:
            value = getattr(thing, attribute)
            if value is not None:
                family.add_metric(values, value)
        yield family


def _endpoints(pools: Iterable[PoolView]) -> Iterator[Metric]:
    labels = ["pool", "endpoint"]
    endpoints = list(_each_endpoint(pools))
    yield from _attribute_families(GaugeMetricFamily, ENDPOINT_GAUGES, labels, endpoints)
    yield from _attribute_families(CounterMetricFamily, ENDPOINT_COUNTERS, labels, endpoints)
    connections = GaugeMetricFamily(
        "mcppool_endpoint_connections", "Its connections, by state.", labels=[*labels, "state"]
    )
    checks = CounterMetricFamily(
        "mcppool_endpoint_health_checks_total", "Active checks, by result.", labels=[*labels, "result"]
    )
    for key, endpoint in endpoints:
        for state, count in endpoint.connections.items():
            connections.add_metric([*key, state], count)
        checks.add_metric([*key, "success"], endpoint.health_checks - endpoint.health_check_failures)
        checks.add_metric([*key, "failure"], endpoint.health_check_failures)
    yield from (connections, checks)


def _memory(memory: MemoryBudget) -> Iterator[Metric]:
    limit = GaugeMetricFamily("mcppool_memory_limit_bytes", "`limits.memory`, or its default.")
    if memory.limit is not None:
        limit.add_metric([], memory.limit)
    yield limit
    yield GaugeMetricFamily(
        "mcppool_memory_resident_bytes",
        "Memory of the process that counts against the limit.",
        value=memory.resident,
    )
    used = GaugeMetricFamily(
        "mcppool_memory_charged_bytes", "Memory in use by clients and servers.", labels=["account"]
    )
    refused = CounterMetricFamily(
        "mcppool_memory_refused_total", "Reservations refused because memory was full.", labels=["account"]
    )
    for account in memory.accounts():
        used.add_metric([account.name], account.used)
        refused.add_metric([account.name], account.refused)
    yield from (used, refused)


def _tasks() -> Iterator[Metric]:
    failed = CounterMetricFamily(
        "mcppool_task_failures_total", "Failures of background tasks, by kind.", labels=["task"]
    )
    for kind, count in supervision.failures.items():
        failed.add_metric([kind], count)
    yield failed
    try:
        tasks = len(asyncio.all_tasks())
    except RuntimeError:
        return  # not called from within a loop
    yield GaugeMetricFamily("mcppool_tasks", "Tasks of the event loop, of every kind.", value=tasks)


def _listener(metrics: GatewayMetrics) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "mcppool_listener_connections",
        "Open connections of clients.",
        value=metrics.listener_opened - metrics.listener_closed,
    )
    malformed = CounterMetricFamily(
        "mcppool_listener_malformed_total", "Input refused before it became a call.", labels=["reason"]
    )
    for reason, count in metrics.malformed.items():
        malformed.add_metric([reason], count)
    yield malformed
    turned_away = CounterMetricFamily(
        "mcppool_listener_turned_away_total",
        "Connections, streams and calls that a cap refused or ended, by the key of the cap.",
        labels=["cap"],
    )
    for cap, count in metrics.turned_away.items():
        turned_away.add_metric([cap], count)
    yield turned_away


def _authentication(metrics: GatewayMetrics) -> Iterator[Metric]:
    failures = CounterMetricFamily(
        "mcppool_auth_failures_total", "Requests of clients that were not let in, by why.", labels=["pool", "failure"]
    )
    for pool in metrics.pools():
        for failure, count in pool.auth_failures.items():
            failures.add_metric([pool.name, failure], count)
    yield failures


def _configuration(config: ConfigView) -> Iterator[Metric]:
    info = GaugeMetricFamily("mcppool_config_info", "Always 1; the configuration in force.", labels=["hash"])
    generation = GaugeMetricFamily("mcppool_config_generation", "Generation of the configuration in force.")
    loaded = GaugeMetricFamily("mcppool_config_loaded_timestamp_seconds", "Time at which it was put into force.")
    if config.hash is not None:
        info.add_metric([config.hash], 1)
    if config.generation is not None:
        generation.add_metric([], config.generation)
    if config.loaded_at is not None:
        loaded.add_metric([], config.loaded_at.timestamp())
    yield from (info, generation, loaded)


def _each_endpoint(pools: Iterable[PoolView]) -> Iterator[tuple[list[str], EndpointView]]:
    # An address that comes back while it still drains occurs twice; its series must be unique.
    for pool in pools:
        by_url: dict[str, EndpointView] = {}
        for endpoint in pool.endpoints:
            if endpoint.url not in by_url or not endpoint.draining:
                by_url[endpoint.url] = endpoint
        for url, endpoint in by_url.items():
            yield [pool.name, url], endpoint


def _durations(metrics: GatewayMetrics) -> Iterator[Metric]:
    """The durations by OpenTelemetry's conventions, under the names that its rules for Prometheus give them. There are
    none without `tracing`."""
    counted = [pool.durations for pool in metrics.pools() if pool.durations is not None]
    for name, text, labels, series in DURATION_FAMILIES:
        family = HistogramMetricFamily(name, text, labels=["pool", *labels])
        for pool in counted:
            for key, histogram in getattr(pool, series).items():
                _add_histogram(family, [pool.pool, *key], histogram)
        yield family


def _add_histogram(family: HistogramMetricFamily, labels: list[str], histogram: Histogram) -> None:
    buckets: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    cumulative = 0
    exemplars = histogram.exemplars or {}
    for index, (bound, count) in enumerate(zip((*map(str, histogram.bounds), "+Inf"), histogram.counts, strict=True)):
        cumulative += count
        found = exemplars.get(index)
        if found is None:
            buckets.append((bound, cumulative))
            continue
        ids = {"trace_id": found.trace_id, "span_id": found.span_id}
        buckets.append((bound, cumulative, Exemplar(ids, found.value, round(found.at, 3))))
    family.add_metric(labels, buckets, histogram.total)
