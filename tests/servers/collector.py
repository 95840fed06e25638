"""The receiving end of OTLP over HTTP: reads requests with OpenTelemetry's messages, and fails on demand."""

from __future__ import annotations

import gzip
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.certificates import ServerCertificate


@dataclass
class Answer:
    """What the collector answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = ExportLogsServiceResponse().SerializeToString()


class Collector:
    """A collector on a port of 127.0.0.1. `records` are the log records that it has accepted, `spans` and `metrics` the
    others, `requests` the headers of all requests; `decide` gives the answer to a request, by its records or spans."""

    def __init__(self, certificate: ServerCertificate | None = None, *, port: int = 0) -> None:
        self.requests: list[dict[str, str]] = []
        self.records: list[Any] = []
        self.spans: list[Any] = []
        self.metrics: list[Any] = []
        self.resources: list[dict[str, Any]] = []
        self.decide: Callable[[list[Any]], Answer] = lambda records: Answer()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                collector.handle(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        if certificate is not None:
            context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            context.load_cert_chain(certificate.certificate, certificate.key)
            context.load_verify_locations(certificate.ca)
            context.verify_mode = ssl.CERT_REQUIRED
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.url = f"{'http' if certificate is None else 'https'}://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    @property
    def bodies(self) -> list[str]:
        """The lines that were accepted, in the order in which they came."""
        return [record.body.string_value for record in self.records]

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = gzip.decompress(request.rfile.read(int(request.headers["Content-Length"])))
        assert request.headers["Content-Type"] == "application/x-protobuf"
        resources, found, kept = self._read(request.path, body)
        answer = self.decide(found)
        self.requests.append(dict(request.headers.items()))
        if answer.status == 200:
            self.resources += [attributes(each.resource.attributes) for each in resources]
            kept += found
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer.body)))
        request.end_headers()
        request.wfile.write(answer.body)

    def _read(self, path: str, body: bytes) -> tuple[Any, list[Any], list[Any]]:
        """The resources of a request, what it sends, and the list where that goes."""
        if path == "/v1/logs":
            logs = ExportLogsServiceRequest.FromString(body).resource_logs
            return logs, [each for one in logs for scope in one.scope_logs for each in scope.log_records], self.records
        if path == "/v1/traces":
            spans = ExportTraceServiceRequest.FromString(body).resource_spans
            return spans, [each for one in spans for scope in one.scope_spans for each in scope.spans], self.spans
        assert path == "/v1/metrics"
        metrics = ExportMetricsServiceRequest.FromString(body).resource_metrics
        return metrics, [each for one in metrics for scope in one.scope_metrics for each in scope.metrics], self.metrics


def attributes(found: Any) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {each.key: plain(each.value) for each in found}


def plain(value: AnyValue) -> Any:
    """A value of an attribute."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    return getattr(value, kind or "string_value")
