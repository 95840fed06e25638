"""Families about calls of clients: requests, tools, breakers, durations, and what was refused."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric

from mcppool.observe.families.samples import add_histogram
from mcppool.observe.labels import EXECUTION_STATUSES, OTHER
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.views import PoolView

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


def request_families(metrics: GatewayMetrics) -> Iterator[Metric]:
    """Requests and retries."""
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


def tool_families(metrics: GatewayMetrics) -> Iterator[Metric]:
    """Calls of tools."""
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
            add_histogram(duration, [pool.name, name], stats.duration)
            add_histogram(size, [pool.name, name], stats.size)
    yield from (executions, duration, size)


def breaker_families(metrics: GatewayMetrics, pools: Iterable[PoolView]) -> Iterator[Metric]:
    """Circuit breakers of tools."""
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


def duration_families(metrics: GatewayMetrics) -> Iterator[Metric]:
    """The durations by OpenTelemetry's conventions, under the names that its rules for Prometheus give them. There are
    none without `tracing`."""
    counted = [pool.durations for pool in metrics.pools() if pool.durations is not None]
    for name, text, labels, series in DURATION_FAMILIES:
        family = HistogramMetricFamily(name, text, labels=["pool", *labels])
        for pool in counted:
            for key, histogram in getattr(pool, series).items():
                add_histogram(family, [pool.pool, *key], histogram)
        yield family


def access_families(metrics: GatewayMetrics) -> Iterator[Metric]:
    """Requests that access rules refuse."""
    denied = CounterMetricFamily(
        "mcppool_access_denied_total",
        "Requests that access rules refuse, or would refuse in mode `shadow`, by rule.",
        labels=["pool", "rule", "mode"],
    )
    for pool in metrics.pools():
        for (rule, mode), count in pool.access_denied.items():
            denied.add_metric([pool.name, rule, mode], count)
    yield denied


def authentication_families(metrics: GatewayMetrics) -> Iterator[Metric]:
    """Clients that were not let in."""
    failures = CounterMetricFamily(
        "mcppool_auth_failures_total", "Requests of clients that were not let in, by why.", labels=["pool", "failure"]
    )
    for pool in metrics.pools():
        for failure, count in pool.auth_failures.items():
            failures.add_metric([pool.name, failure], count)
    yield failures
