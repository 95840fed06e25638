"""Spans and durations as OTLP messages. Loads OpenTelemetry's messages, so only the sender imports it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from time import time_ns
from typing import Final

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, InstrumentationScope, KeyValue
from opentelemetry.proto.metrics.v1 import metrics_pb2 as metrics
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from mcppool.observe.histogram import Histogram
from mcppool.observe.tracing import span_bytes
from mcppool.observe.tracing.durations import Durations, OperationKey, PoolDurations
from mcppool.observe.tracing.span import Span
from mcppool.version import __version__

_SCOPE: Final = InstrumentationScope(name="mcppool", version=__version__)
_OPERATION: Final = {
    "method": "mcp.method.name",
    "tool": "gen_ai.tool.name",
    "error": "error.type",
    "code": "rpc.response.status_code",
    "version": "mcp.protocol.version",
}
_FAMILIES: Final = (
    ("server_operations", "mcp.server.operation.duration", "Time from a client's message to the end of its answer."),
    ("client_operations", "mcp.client.operation.duration", "Time from a message to a server to the end of its answer."),
    ("server_sessions", "mcp.server.session.duration", "Time from the beginning of a client's session to its end."),
    ("client_sessions", "mcp.client.session.duration", "Time from the beginning of a session at a server to its end."),
)


def resource(attributes: Mapping[str, str]) -> Resource:
    """The gateway, as the source of what is sent."""
    return Resource(attributes=[_attribute(name, value) for name, value in attributes.items()])


def trace_request(spans: Iterable[Span], source: Resource) -> bytes:
    """The request that sends `spans`."""
    return span_bytes.trace_request(spans, source.SerializeToString(), _SCOPE.SerializeToString())


def metrics_request(pools: Sequence[PoolDurations], source: Resource) -> bytes | None:
    """The request that sends the durations of `pools`: sums since their beginning. None if there are none yet."""
    now = time_ns()
    found = []
    for attribute, name, text in _FAMILIES:
        points = [point for pool in pools for point in _points(pool.pool, getattr(pool, attribute), pool.since, now)]
        if points:
            histogram = metrics.Histogram(
                data_points=points, aggregation_temporality=metrics.AGGREGATION_TEMPORALITY_CUMULATIVE
            )
            found.append(metrics.Metric(name=name, description=text, unit="s", histogram=histogram))
    if not found:
        return None
    scope = metrics.ScopeMetrics(scope=_SCOPE, metrics=found)
    return ExportMetricsServiceRequest(
        resource_metrics=[metrics.ResourceMetrics(resource=source, scope_metrics=[scope])]
    ).SerializeToString()


def labels_of(key: tuple[str, ...]) -> dict[str, str]:
    """The attributes of one series of durations."""
    if not isinstance(key, OperationKey):
        found = {"mcp.protocol.version": key[0]} if key[0] else {}
    else:
        found = {name: value for name, value in zip(_OPERATION.values(), key, strict=True) if value}
        if key.method == "tools/call":
            found["gen_ai.operation.name"] = "execute_tool"
    return found


def _points(pool: str, durations: Durations, since: int, now: int) -> list[metrics.HistogramDataPoint]:
    points = []
    for key, histogram in durations.items():
        attributes = [_attribute(name, value) for name, value in labels_of(key).items()]
        points.append(_point([*attributes, _attribute("mcppool.pool", pool)], histogram, since, now))
    return points


def _point(attributes: list[KeyValue], histogram: Histogram, since: int, now: int) -> metrics.HistogramDataPoint:
    counts = list(histogram.counts)
    return metrics.HistogramDataPoint(
        attributes=attributes,
        start_time_unix_nano=since,
        time_unix_nano=now,
        count=sum(counts),
        sum=histogram.total,
        bucket_counts=counts,
        explicit_bounds=histogram.bounds,
    )


@lru_cache(maxsize=1024)
def _attribute(name: str, value: str) -> KeyValue:
    """An attribute. Most come again with the next series, and making one costs more than all else about it."""
    return KeyValue(key=name, value=AnyValue(string_value=value))
