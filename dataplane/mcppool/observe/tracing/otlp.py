"""The exporter of spans and durations as OTLP."""

from __future__ import annotations

from collections.abc import Sequence

from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from mcppool.observe.tracing.durations import PoolDurations
from mcppool.observe.tracing.encoding import metrics_request, resource, trace_request
from mcppool.observe.tracing.environment import TracingSettings
from mcppool.observe.tracing.signals import HttpSignal, Signal
from mcppool.observe.tracing.span import Span
from mcppool.spec.sections.tracing import TracingSpec


class OtlpExporter:
    """See `sender.Exporter`."""

    def __init__(self, spec: TracingSpec, settings: TracingSettings) -> None:
        self._resource = resource(settings.resource)
        self._traces = _signal("traces", settings.traces_url, spec, settings)
        self._metrics = _signal("metrics", settings.metrics_url, spec, settings)

    def spans(self, spans: Sequence[Span]) -> int:
        """See `sender.Exporter`."""
        if self._traces is None:
            return 0
        answer = self._traces.send(trace_request(spans, self._resource))
        if answer is None:
            return len(spans)
        try:
            return ExportTraceServiceResponse.FromString(answer).partial_success.rejected_spans
        except DecodeError:  # an answer in JSON or of a proxy; the status says that the spans were accepted
            return 0

    def durations(self, pools: Sequence[PoolDurations]) -> None:
        """See `sender.Exporter`."""
        if self._metrics is not None and (request := metrics_request(pools, self._resource)) is not None:
            self._metrics.send(request)

    def close(self) -> None:
        """See `sender.Exporter`."""
        for signal in (self._traces, self._metrics):
            if signal is not None:
                signal.close()


def _signal(kind: str, url: str | None, spec: TracingSpec, settings: TracingSettings) -> Signal | None:
    if url is None:
        return None
    if spec.protocol == "grpc":
        from mcppool.observe.tracing.grpc_signal import GrpcSignal  # an extra, which other configurations do without

        return GrpcSignal(url, kind, spec, settings.headers)
    return HttpSignal(url, spec, settings.headers)
