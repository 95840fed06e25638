"""The receiving end of OTLP logs over HTTP: reads requests with OpenTelemetry's messages, and fails on demand."""

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
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from tests.certificates import ServerCertificate


@dataclass
class Answer:
    """What the collector answers."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = ExportLogsServiceResponse().SerializeToString()


class Collector:
    """A collector on a port of 127.0.0.1. `records` are the log records that it has accepted, `requests` the headers of
    all requests; `decide` gives the answer to a request."""

    def __init__(self, certificate: ServerCertificate | None = None, *, port: int = 0) -> None:
        self.requests: list[dict[str, str]] = []
        self.records: list[Any] = []
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
        assert request.path == "/v1/logs"
        assert request.headers["Content-Type"] == "application/x-protobuf"
        found = ExportLogsServiceRequest.FromString(body)
        records = [
            record for resource in found.resource_logs for scope in resource.scope_logs for record in scope.log_records
        ]
        answer = self.decide(records)
        self.requests.append(dict(request.headers.items()))
        if answer.status == 200:
            self.resources += [attributes(each.resource.attributes) for each in found.resource_logs]
            self.records += records
        request.send_response(answer.status)
        for name, value in answer.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(answer.body)))
        request.end_headers()
        request.wfile.write(answer.body)


def attributes(found: Any) -> dict[str, Any]:
    """Attributes as a dictionary."""
    return {each.key: plain(each.value) for each in found}


def plain(value: AnyValue) -> Any:
    """A value of an attribute."""
    kind = value.WhichOneof("value")
    if kind == "array_value":
        return [plain(each) for each in value.array_value.values]
    return getattr(value, kind or "string_value")
