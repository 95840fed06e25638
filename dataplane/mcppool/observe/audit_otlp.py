"""Lines of an audit log as OpenTelemetry logs, sent to a collector by OTLP over HTTP (protobuf, gzip).

It runs in the thread of the audit log, so it may wait for the collector. The collector's answer decides what is sent
again, and when (decision 0018).
"""

from __future__ import annotations

import socket
from collections.abc import Sequence
from datetime import UTC, datetime
from time import time_ns
from typing import Any, Final

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

from mcppool.observe.audit_sinks import AuditSink, SinkUnavailable
from mcppool.observe.logs import get_logger
from mcppool.observe.otlp_http import CollectorConnection
from mcppool.spec.sections.audit import AuditSpec
from mcppool.version import __version__

NOT_ACCEPTED: Final = frozenset({400, 413})
"""Statuses that the same request would get again."""
IN_THE_BODY_ALONE: Final = frozenset({"time", "arguments", "trace_id", "span_id"})

log = get_logger("audit")

_decode = msgspec.json.Decoder().decode


class OtlpSink(AuditSink):
    """A collector."""

    def __init__(self, spec: AuditSpec) -> None:
        assert spec.otlp is not None
        self._collector = CollectorConnection(spec.otlp.logs_url, spec.otlp)
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
        self._collector.close()

    def _send(self, records: list[LogRecord]) -> None:
        """Send records. Those that the collector does not accept are left out and logged; one of them must not keep all
        later ones back."""
        scope = ScopeLogs(scope=InstrumentationScope(name="mcppool.audit"), log_records=records)
        request = ExportLogsServiceRequest(resource_logs=[ResourceLogs(resource=self._resource, scope_logs=[scope])])
        status, retry_after, answer = self._collector.post(request.SerializeToString())
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
            raise SinkUnavailable(f"{self._collector.url} answers with status {status}", retry_after)


def _report_rejected(answer: bytes) -> None:
    """Log the lines that a collector has not kept; the protocol forbids to send them again."""
    try:
        partial = ExportLogsServiceResponse.FromString(answer).partial_success
    except DecodeError:  # an answer in JSON or of a proxy; the status says that the lines were accepted
        return
    if partial.rejected_log_records:
        log.error("audit_line_rejected", lines=partial.rejected_log_records, error=partial.error_message)


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
        trace_id=bytes.fromhex(fields.get("trace_id", "")),
        span_id=bytes.fromhex(fields.get("span_id", "")),
        flags=1 if "trace_id" in fields else 0,
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
