"""Families about endpoints and the connections to them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from mcppool.observe.families.samples import add_histogram, attribute_families
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.views import ENDPOINT_COUNTERS, ENDPOINT_GAUGES, EndpointView, PoolView


def connection_families(metrics: GatewayMetrics, pools: Iterable[PoolView]) -> Iterator[Metric]:
    """Connections to servers."""
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
        add_histogram(duration, [pool.name], pool.connection_duration)
    for view in pools:
        size.add_metric([view.name], sum(endpoint.connections.get("connected", 0) for endpoint in view.endpoints))
    yield from (total, duration, size)


def endpoint_families(pools: Iterable[PoolView]) -> Iterator[Metric]:
    """Endpoints."""
    labels = ["pool", "endpoint"]
    endpoints = list(_each_endpoint(pools))
    yield from attribute_families(GaugeMetricFamily, ENDPOINT_GAUGES, labels, endpoints)
    yield from attribute_families(CounterMetricFamily, ENDPOINT_COUNTERS, labels, endpoints)
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


def _each_endpoint(pools: Iterable[PoolView]) -> Iterator[tuple[list[str], EndpointView]]:
    # An address that comes back while it still drains occurs twice; its series must be unique.
    for pool in pools:
        by_url: dict[str, EndpointView] = {}
        for endpoint in pool.endpoints:
            if endpoint.url not in by_url or not endpoint.draining:
                by_url[endpoint.url] = endpoint
        for url, endpoint in by_url.items():
            yield [pool.name, url], endpoint
