"""The exporter of spans and durations: OTLP over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from mcppool.observe.audit_sinks import SinkUnavailable
from mcppool.observe.logs import get_logger
from mcppool.observe.otlp_http import CollectorConnection
from mcppool.observe.tracing.durations import PoolDurations
from mcppool.observe.tracing.encoding import metrics_request, resource, trace_request
from mcppool.observe.tracing.environment import TracingSettings
from mcppool.observe.tracing.span import Span
from mcppool.spec.sections.tracing import TracingSpec

RETRYABLE: Final = frozenset({429, 502, 503, 504})
"""Statuses after which the same request is sent again, by OTLP's specification."""

log = get_logger("tracing")


class OtlpExporter:
    """See `sender.Exporter`."""

    def __init__(self, spec: TracingSpec, settings: TracingSettings) -> None:
        self._resource = resource(settings.resource)
        self._traces = _connection(settings.traces_url, spec, settings)
        self._metrics = _connection(settings.metrics_url, spec, settings)
        self._refused: set[int] = set()

    def spans(self, spans: Sequence[Span]) -> int:
        """See `sender.Exporter`."""
        if self._traces is None:
            return 0
        status, answer = self._post(self._traces, trace_request(spans, self._resource))
        if not 200 <= status < 300:
            return len(spans)
        try:
            return ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
        except DecodeError:  # an answer in JSON or of a proxy; the status says that the spans were accepted
            return 0

    def durations(self, pools: Sequence[PoolDurations]) -> None:
        """See `sender.Exporter`."""
        if self._metrics is not None and (request := metrics_request(pools, self._resource)) is not None:
            self._post(self._metrics, request)

    def close(self) -> None:
        """See `sender.Exporter`."""
        for connection in (self._traces, self._metrics):
            if connection is not None:
                connection.close()

    def _post(self, connection: CollectorConnection, message: bytes) -> tuple[int, bytes]:
        """Status and answer. Raises SinkUnavailable if the request is to be sent again."""
        status, retry_after, answer = connection.post(message)
        if status in RETRYABLE:
            raise SinkUnavailable(f"{connection.url} answers with status {status}", retry_after)
        if not 200 <= status < 300 and status not in self._refused:  # each status once
            self._refused.add(status)
            log.error("collector_refuses", url=connection.url, status=status)
        return status, answer


def _connection(url: str | None, spec: TracingSpec, settings: TracingSettings) -> CollectorConnection | None:
    return CollectorConnection(url, spec, settings.headers) if url is not None else None
