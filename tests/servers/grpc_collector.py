"""The receiving end of OTLP over gRPC: a server of the gRPC library, which fails on demand."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, Self

import grpc
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from tests.certificates import ServerCertificate


class GrpcCollector:
    """A collector on a port of 127.0.0.1. `spans` and `metrics` are what it has accepted, `metadata` those of all
    requests; `decide` may end a request otherwise, or give its answer."""

    def __init__(self, certificate: ServerCertificate | None = None) -> None:
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        self.metadata: list[dict[str, str]] = []
        self.decide: Callable[[grpc.ServicerContext], bytes] = lambda _: b""
        self._server = grpc.server(ThreadPoolExecutor(2), options=[("grpc.so_reuseport", 0)])
        services = {
            "opentelemetry.proto.collector.trace.v1.TraceService": self._traces,
            "opentelemetry.proto.collector.metrics.v1.MetricsService": self._metrics,
        }
        self._server.add_generic_rpc_handlers(
            [
                grpc.method_handlers_generic_handler(name, {"Export": grpc.unary_unary_rpc_method_handler(export)})
                for name, export in services.items()
            ]
        )
        if certificate is None:
            self.url = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        else:
            pair = certificate.key.read_bytes(), certificate.certificate.read_bytes()
            own = grpc.ssl_server_credentials([pair], certificate.ca.read_bytes(), require_client_auth=True)
            self.url = f"https://127.0.0.1:{self._server.add_secure_port('127.0.0.1:0', own)}"

    def __enter__(self) -> Self:
        self._server.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.stop(None).wait()

    def _traces(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        found = ExportTraceServiceRequest.FromString(message).resource_spans
        answer = self._answer(context)
        self.spans += [span for one in found for scope in one.scope_spans for span in scope.spans]
        return answer

    def _metrics(self, message: bytes, context: grpc.ServicerContext) -> bytes:
        found = ExportMetricsServiceRequest.FromString(message).resource_metrics
        answer = self._answer(context)
        self.metrics += [metric for one in found for scope in one.scope_metrics for metric in scope.metrics]
        return answer

    def _answer(self, context: grpc.ServicerContext) -> bytes:
        self.metadata.append(dict(context.invocation_metadata()))
        return self.decide(context)
