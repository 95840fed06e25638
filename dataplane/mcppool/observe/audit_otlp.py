"""Lines of an audit log as OpenTelemetry logs, sent to a collector by OTLP over HTTP (protobuf, gzip).

It runs in the thread of the audit log, so it may wait for the collector. The collector's answer decides what is sent
again, and when (decision 0018).
"""

from __future__ import annotations

import gzip
import math
import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from time import time_ns
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from google.protobuf.message import DecodeError
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, ArrayValue, InstrumentationScope, KeyValue
from opentelemetry.proto.logs.v1.logs_pb2 import (
    SEVERITY_NUMBER_INFO,
    SEVERITY_NUMBER_WARN,
    LogRecord,
    ResourceLogs,
    ScopeLogs,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from mcppool.header_value import read_value
from mcppool.observe.audit_sinks import AuditSink, SinkUnavailable
from mcppool.observe.logs import get_logger
from mcppool.spec.sections.audit import AuditSpec
from mcppool.tls_files import client_context
from mcppool.version import __version__

MAX_ANSWER: Final = 64 * 1024
"""Bytes of a collector's answer that are read."""
MAX_RETRY_AFTER: Final = 60.0
"""Upper bound in seconds on a wait that the collector asks for."""
NOT_ACCEPTED: Final = frozenset({400, 413})
"""Statuses that the same request would get again."""
IN_THE_BODY_ALONE: Final = frozenset({"time", "arguments"})

log = get_logger("audit")

_decode = msgspec.json.Decoder().decode


class OtlpSink(AuditSink):
    """A collector. Files with certificates and header values are read for each connection or request, so a renewed one
    is used without a restart."""

    def __init__(self, spec: AuditSpec) -> None:
        assert spec.otlp is not None
        self._spec = spec.otlp
        self._url = urlsplit(spec.otlp.logs_url)
        self._connection: HTTPConnection | None = None
        self._resource = Resource(
            attributes=[
                _attribute("service.name", "mcppool"),
                _attribute("service.version", __version__),
                _attribute("service.instance.id", socket.gethostname()),
            ]
        )

    def write(self, lines: Sequence[bytes]) -> None:
        """Send the lines. A line that the collector refuses for good is logged and left out."""
        self._send([_record(line) for line in lines])

    def close(self) -> None:
        """Close the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _send(self, records: list[LogRecord]) -> None:
        """Send records. Those that the collector does not accept are left out and logged; one of them must not keep all
        later ones back."""
        scope = ScopeLogs(scope=InstrumentationScope(name="mcppool.audit"), log_records=records)
        request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=self._resource, scope_logs=[scope])])
        status, retry_after, answer = self._post(gzip.compress(request.SerializeToString(), 3))
        if 200 <= status < 300:
            _report_rejected(answer)
        elif status in NOT_ACCEPTED:
            if len(records) == 1:
                log.error("audit_line_rejected", status=status, lines=1)
                return
            middle = len(records) // 2
            self._send(records[:middle])
            self._send(records[middle:])
        else:
            raise SinkUnavailable(f"{self._spec.logs_url} answers with status {status}", retry_after)

    def _post(self, body: bytes) -> tuple[int, float | None, bytes]:
        """Status, seconds of Retry-After, and answer of the collector. A kept connection may have been closed by the
        other side, so the request is repeated on a new one."""
        headers = {"Content-Type": "application/x-protobuf", "Content-Encoding": "gzip"}
        for name, value in self._spec.headers.items():
            try:
                headers[name] = value.prefix + read_value(value)
            except ValueError as error:
                raise SinkUnavailable(f"the header {name} has no value: {error}") from None
        kept = self._connection is not None
        try:
            return self._exchange(body, headers)
        except (OSError, HTTPException, ValueError) as error:  # the last: what cannot be sent, as a path or a name
            self.close()
            if not kept:
                raise SinkUnavailable(f"{self._spec.logs_url}: {error or type(error).__name__}") from None
        return self._post(body)

    def _exchange(self, body: bytes, headers: dict[str, str]) -> tuple[int, float | None, bytes]:
        if self._connection is None:
            self._connection = self._connect()
        self._connection.request("POST", self._url.path, body, headers)
        with self._connection.getresponse() as response:
            answer = response.read(MAX_ANSWER)
            if not response.isclosed() or response.will_close:
                self.close()
            return response.status, _seconds(response.getheader("Retry-After")), answer

    def _connect(self) -> HTTPConnection:
        spec, host = self._spec, self._url.hostname or ""
        if self._url.scheme == "http":
            return HTTPConnection(host, self._url.port, timeout=spec.timeout)
        context = client_context(spec.ca_file, spec.certificate_file, spec.key_file)
        return HTTPSConnection(host, self._url.port, timeout=spec.timeout, context=context)


def _report_rejected(answer: bytes) -> None:
    """Log the lines that a collector has not kept; the protocol forbids to send them again."""
    try:
        partial = ExportLogsServiceResponse.FromString(answer).partial_success
    except DecodeError:  # an answer in JSON or of a proxy; the status says that the lines were accepted
        return
    if partial.rejected_log_records:
        log.error("audit_line_rejected", lines=partial.rejected_log_records, error=partial.error_message)


def _seconds(text: str | None) -> float | None:
    """The seconds of a Retry-After header; a date counts as none."""
    try:
        seconds = float(text or "")
    except ValueError:
        return None
    return min(max(seconds, 0.0), MAX_RETRY_AFTER) if math.isfinite(seconds) else None


def _record(line: bytes) -> LogRecord:
    """A line as a log record: the line itself as its body, and its fields as attributes, by which backends search."""
    fields: dict[str, Any] = _decode(line)
    event = fields.get("event", "")
    noteworthy = fields.get("allowed") is False or event not in ("call", "denied")
    when = datetime.fromisoformat(fields["time"]).astimezone(UTC)
    return LogRecord(
        time_unix_nano=round(when.timestamp() * 1000) * 1_000_000,
        observed_time_unix_nano=time_ns(),
        severity_number=SEVERITY_NUMBER_WARN if noteworthy else SEVERITY_NUMBER_INFO,
        severity_text="WARN" if noteworthy else "INFO",
        event_name=f"mcppool.audit.{event}",
        body=AnyValue(string_value=line.decode()),
        attributes=[_attribute(f"mcppool.audit.{name}", value) for name, value in _flat(fields)],
    )


def _flat(fields: dict[str, Any]) -> list[tuple[str, Any]]:
    """The fields, those of the principal as `principal.NAME`."""
    found: list[tuple[str, Any]] = []
    for name, value in fields.items():
        if isinstance(value, dict) and name not in IN_THE_BODY_ALONE:
            found += [(f"{name}.{inner}", each) for inner, each in value.items()]
        elif name not in IN_THE_BODY_ALONE:
            found.append((name, value))
    return found


def _attribute(name: str, value: Any) -> KeyValue:
    return KeyValue(key=name, value=_value(value))


def _value(value: Any) -> AnyValue:
    match value:
        case bool():
            return AnyValue(bool_value=value)
        case int() if -(1 << 63) <= value < 1 << 63:
            return AnyValue(int_value=value)
        case float():
            return AnyValue(double_value=value)
        case list():
            return AnyValue(array_value=ArrayValue(values=[_value(each) for each in value]))
        case str():
            return AnyValue(string_value=value)
        case _:
            return AnyValue(string_value=msgspec.json.encode(value).decode())
