"""Spans and durations over gRPC, to a real server of its library."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("grpc", reason="needs the extra `otel-grpc`: make install")

import grpc
from google.protobuf.duration_pb2 import Duration
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from mcppool.observe.audit_sinks import SinkUnavailable
from mcppool.observe.tracing import grpc_signal
from mcppool.observe.tracing.durations import PoolDurations, SessionKey
from mcppool.observe.tracing.environment import tracing_settings
from mcppool.observe.tracing.otlp import OtlpExporter
from mcppool.observe.tracing.span import Operation, Span
from mcppool.policy.trace_context import new_trace_id
from mcppool.spec.sections.tracing import TracingSpec
from tests.certificates import make_server_certificate
from tests.servers.grpc_collector import GrpcCollector


def spans(count: int) -> list[Span]:
    return [Span(Operation(f"call {number}", "server", {}), new_trace_id(), {"n": number}) for number in range(count)]


@contextmanager
def exporter(url: str, environment: dict[str, str] | None = None, **more: Any) -> Iterator[OtlpExporter]:
    spec = TracingSpec.model_validate({"enabled": True, "endpoint": url, "protocol": "grpc", "timeout": "30s", **more})
    made = OtlpExporter(spec, tracing_settings(spec, environment or {}))
    yield made
    made.close()


def ends_with(code: Any, metadata: tuple[tuple[str, bytes], ...] = ()) -> Any:
    def decide(context: Any) -> bytes:
        context.set_trailing_metadata(metadata)
        context.abort(code, "not now")
        raise AssertionError("abort raises")

    return decide


def retry_after(seconds: float) -> tuple[tuple[str, bytes], ...]:
    """The metadata with `google.rpc.Status` that names a delay."""
    duration = Duration(seconds=int(seconds), nanos=round(seconds % 1 * 1e9)).SerializeToString()
    info = b"\x0a" + bytes((len(duration),)) + duration
    name = b"type.googleapis.com/google.rpc.RetryInfo"
    any_ = b"\x0a" + bytes((len(name),)) + name + b"\x12" + bytes((len(info),)) + info
    return (("grpc-status-details-bin", b"\x08\x0e\x12\x07not now\x1a" + bytes((len(any_),)) + any_),)


def test_spans_and_durations_arrive_with_the_headers() -> None:
    durations = PoolDurations("demo")
    durations.server_sessions.of(SessionKey("2025-11-25")).observe(0.5)
    with (
        GrpcCollector() as collector,
        exporter(
            collector.url, {"OTEL_EXPORTER_OTLP_HEADERS": "x-more=1"}, headers={"Authorization": {"value": "Bearer a"}}
        ) as made,
    ):
        assert made.spans(spans(300)) == 0
        made.durations([durations])
    assert [span.name for span in collector.spans] == [f"call {number}" for number in range(300)]
    assert [metric.name for metric in collector.metrics] == ["mcp.server.session.duration"]
    for metadata in collector.metadata:
        assert (metadata["authorization"], metadata["x-more"]) == ("Bearer a", "1")


@pytest.mark.parametrize("code", sorted(grpc_signal.RETRYABLE, key=str), ids=lambda code: code.name)
def test_what_the_collector_refuses_for_the_moment_may_be_sent_again(code: Any) -> None:
    with GrpcCollector() as collector, exporter(collector.url) as made:
        collector.decide = ends_with(code)
        with pytest.raises(SinkUnavailable, match=code.name):
            made.spans(spans(1))
        collector.decide = lambda _: b""
        assert made.spans(spans(1)) == 0
    assert len(collector.spans) == 1


@pytest.mark.parametrize(("seconds", "expected"), [(2.5, 2.5), (0.0, 0.0), (7200.0, 60.0)])
def test_a_collector_that_is_full_names_the_delay(seconds: float, expected: float) -> None:
    with GrpcCollector() as collector, exporter(collector.url) as made:
        collector.decide = ends_with(grpc.StatusCode.RESOURCE_EXHAUSTED, retry_after(seconds))
        with pytest.raises(SinkUnavailable) as found:
            made.spans(spans(1))
    assert found.value.retry_after == expected


@pytest.mark.parametrize(
    "code", ["RESOURCE_EXHAUSTED", "UNAUTHENTICATED", "INVALID_ARGUMENT", "UNIMPLEMENTED", "INTERNAL"]
)
def test_what_the_collector_refuses_for_good_is_lost_and_told_once(code: str, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []

    class Log:
        def error(self, event: str, /, **fields: str) -> None:
            told.append(fields["status"])

    monkeypatch.setattr(grpc_signal, "log", Log())
    with GrpcCollector() as collector, exporter(collector.url) as made:
        collector.decide = ends_with(grpc.StatusCode[code])
        assert made.spans(spans(3)) == 3
        assert made.spans(spans(2)) == 2
    assert told == [code]


def test_a_part_that_is_refused_is_counted() -> None:
    part = ExportTraceServiceResponse()
    part.partial_success.rejected_spans = 2
    with GrpcCollector() as collector, exporter(collector.url) as made:
        collector.decide = lambda _: part.SerializeToString()
        assert made.spans(spans(3)) == 2


def test_where_nobody_listens_they_wait() -> None:
    with GrpcCollector() as gone:
        url = gone.url
    with exporter(url) as made, pytest.raises(SinkUnavailable, match="UNAVAILABLE"):
        made.spans(spans(1))


def test_over_tls_both_sides_show_certificates_and_a_renewed_one_is_used(tmp_path: Path) -> None:
    files = make_server_certificate(tmp_path / "right")
    wrong = make_server_certificate(tmp_path / "wrong")
    own = tmp_path / "own.pem"
    own.write_bytes(wrong.certificate.read_bytes() + wrong.key.read_bytes())
    with (
        GrpcCollector(files) as collector,
        exporter(collector.url, ca_file=str(files.ca), certificate_file=str(own)) as made,
    ):
        with pytest.raises(SinkUnavailable):
            made.spans(spans(1))
        own.write_bytes(files.certificate.read_bytes() + files.key.read_bytes())
        assert made.spans(spans(1)) == 0
    with GrpcCollector(files) as collector, exporter(collector.url, ca_file=str(wrong.ca)) as made:
        with pytest.raises(SinkUnavailable):
            made.spans(spans(1))
        assert collector.spans == []


def test_a_file_or_a_header_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    missing = str(tmp_path / "none")
    with exporter("https://127.0.0.1:1", ca_file=missing) as made, pytest.raises(SinkUnavailable, match="none"):
        made.spans(spans(1))
    header = {"Authorization": {"value_file": str(tmp_path / "token")}}
    with exporter("http://127.0.0.1:1", headers=header) as made, pytest.raises(SinkUnavailable, match="Authorization"):
        made.spans(spans(1))
