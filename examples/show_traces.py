"""Shows traces in the terminal: a receiver of OpenTelemetry's protocol that prints each trace as a tree.

    python examples/show_traces.py          # then send traces to http://127.0.0.1:4318

It is a stand-in for a collector and a backend while you try things. Needs `opentelemetry-proto` (the extra `otel`).
"""

from __future__ import annotations

import argparse
import gzip
import threading
from collections import defaultdict
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

KINDS = {2: "server", 3: "client"}
QUIET = 1.5  # seconds without a span of a trace after which it is shown


class Traces:
    """The spans that have come, by trace."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._spans: dict[bytes, list[Any]] = defaultdict(list)
        self._timers: dict[bytes, threading.Timer] = {}

    def add(self, request: ExportTraceServiceRequest) -> None:
        """Take the spans of a request; each trace is shown once no more of its spans come."""
        for resource in request.resource_spans:
            for scope in resource.scope_spans:
                for span in scope.spans:
                    self._wait_for_more(span)

    def _wait_for_more(self, span: Any) -> None:
        with self._lock:
            self._spans[span.trace_id].append(span)
            if (timer := self._timers.pop(span.trace_id, None)) is not None:
                timer.cancel()
            timer = self._timers[span.trace_id] = threading.Timer(QUIET, self._show, [span.trace_id])
            timer.daemon = True
            timer.start()

    def _show(self, trace_id: bytes) -> None:
        with self._lock:
            spans = self._spans.pop(trace_id, [])
            self._timers.pop(trace_id, None)
        print("\n".join(tree(trace_id, spans)), flush=True)


def tree(trace_id: bytes, spans: list[Any]) -> Iterator[str]:
    """The lines of one trace: spans below their parents, in the order of their beginnings."""
    known = {span.span_id for span in spans}
    children = defaultdict(list)
    for span in sorted(spans, key=lambda span: span.start_time_unix_nano):
        children[span.parent_span_id if span.parent_span_id in known else b""].append(span)

    def below(parent: bytes, depth: int) -> Iterator[str]:
        for span in children[parent]:
            yield line_of(span, depth)
            yield from below(span.span_id, depth + 1)

    yield f"trace {trace_id.hex()}"
    yield from below(b"", 1)


def line_of(span: Any, depth: int) -> str:
    """One span: its name, duration, kind, place and error."""
    values = {each.key: each.value.string_value or str(each.value.int_value) for each in span.attributes}
    milliseconds = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e6
    name = "  " * depth + span.name
    parts = [f"{name:<40} {milliseconds:9.1f} ms  {KINDS.get(span.kind, 'internal')}"]
    if "server.address" in values:
        parts.append(f"{values['server.address']}:{values.get('server.port', '')}")
    if "error.type" in values:
        parts.append(f"error {values['error.type']}")
    return "  ".join(parts)


def receiver(port: int) -> ThreadingHTTPServer:
    """A server for `/v1/traces` on 127.0.0.1; it accepts metrics and logs, and ignores them."""
    traces = Traces()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if self.path == "/v1/traces":
                traces.add(ExportTraceServiceRequest.FromString(body))
            self.send_response(200)
            self.send_header("Content-Type", "application/x-protobuf")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Print traces only."""

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=4318, help="default 4318; 0 takes a free one")
    server = receiver(parser.parse_args().port)
    print(f"Send traces to http://127.0.0.1:{server.server_port}", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        pass
