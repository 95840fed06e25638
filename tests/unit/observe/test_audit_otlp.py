"""Lines of an audit log as OpenTelemetry logs: they wait while the collector is away, and calls do not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from mcppool.observe import audit
from mcppool.observe.audit import AuditLog, AuditLogs
from mcppool.spec.sections.audit import AuditSpec
from tests.certificates import make_server_certificate
from tests.servers.process import free_port
from tests.waiting import until

pytest.importorskip("opentelemetry.proto", reason="needs the extra `otel`: make install")
from tests.servers.collector import Answer, Collector, attributes


def spec(url: str, buffer: str = "4MiB", **more: Any) -> AuditSpec:
    return AuditSpec.model_validate({"type": "otlp", "buffer": buffer, "otlp": {"url": url, **more}})


def line(number: int, **more: Any) -> bytes:
    fields = {"time": "2026-11-29T15:04:05.678Z", "event": "call", "pool": "a", "n": number, **more}
    return json.dumps(fields, separators=(",", ":")).encode()


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "RETRY_AFTER", 0.01)


async def numbers(collector: Collector, count: int) -> list[int]:
    """The numbers of the accepted lines, once there are so many."""
    await until(lambda: len(collector.records) >= count, "the lines are accepted")
    return [json.loads(body).get("n") for body in collector.bodies]


async def test_a_line_becomes_a_record_with_its_time_text_and_fields() -> None:
    principal = {"method": "jwt", "subject": "alice"}
    denied = line(1, event="denied", allowed=False, principal=principal, missing_scopes=["admin"], arguments={"a": 1})
    with Collector() as collector:
        log = AuditLog(spec(collector.url))
        log.write(denied)
        log.write(line(2, duration_ms=1.5, allowed=True))
        await until(lambda: len(collector.records) == 2, "the lines are accepted")
        log.close()
    first, second = collector.records
    assert (first.time_unix_nano, first.severity_text) == (1795964645678 * 1_000_000, "WARN")
    assert (first.event_name, first.body.string_value) == ("mcppool.audit.denied", denied.decode())
    assert attributes(first.attributes) == {
        "mcppool.audit.event": "denied",
        "mcppool.audit.pool": "a",
        "mcppool.audit.n": 1,
        "mcppool.audit.allowed": False,
        "mcppool.audit.principal.method": "jwt",
        "mcppool.audit.principal.subject": "alice",
        "mcppool.audit.missing_scopes": ["admin"],
    }
    assert (second.severity_text, attributes(second.attributes)["mcppool.audit.duration_ms"]) == ("INFO", 1.5)
    assert collector.resources[0]["service.name"] == "mcppool"


async def test_lines_wait_while_the_collector_is_away_and_come_in_order() -> None:
    port = free_port()
    log = AuditLog(spec(f"http://127.0.0.1:{port}"))
    for number in range(100):
        assert log.write(line(number))
    with Collector(port=port) as collector:
        assert await numbers(collector, 100) == list(range(100))
        log.close()


async def test_lines_beyond_the_buffer_are_dropped_and_the_collector_learns_how_many() -> None:
    port = free_port()
    log = AuditLog(spec(f"http://127.0.0.1:{port}", "64KiB"))
    kept = sum(log.write(line(number, x="x" * 1000)) for number in range(100))
    assert 50 <= kept < 100
    with Collector(port=port) as collector:
        await until(lambda: reported(collector) == 100 - kept, "the drops are reported")
        log.close()
        assert [found["n"] for body in collector.bodies if "n" in (found := json.loads(body))] == list(range(kept))


def reported(collector: Collector) -> int:
    """How many lines were dropped, by what the collector has been told."""
    found = [json.loads(body) for body in collector.bodies]
    return sum(each["lines"] for each in found if each["event"] == "lines_dropped")


@pytest.mark.parametrize("status", [307, 401, 404, 429, 500, 503])
async def test_lines_are_sent_again_until_they_are_accepted(status: int) -> None:
    with Collector() as collector:
        headers = {"Retry-After": "0"} if status == 429 else {"Location": f"{collector.url}/v1/logs"}
        collector.decide = lambda records: Answer(status, headers) if len(collector.requests) < 3 else Answer()
        log = AuditLog(spec(collector.url))
        log.write(line(1))
        assert await numbers(collector, 1) == [1]
        log.close()


@pytest.mark.parametrize("status", [400, 413])
async def test_a_line_that_is_refused_for_good_keeps_no_other_back(
    status: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with Collector() as collector:
        collector.decide = lambda records: (
            Answer(status) if any('"n":3' in each.body.string_value for each in records) else Answer()
        )
        log = AuditLog(spec(collector.url))
        for number in range(8):
            log.write(line(number))
        assert await numbers(collector, 7) == [0, 1, 2, 4, 5, 6, 7]
        log.close()
    assert "audit_line_rejected" in capfd.readouterr().err


async def test_a_connection_that_the_collector_has_closed_costs_no_line() -> None:
    with Collector() as collector:
        collector.decide = lambda records: Answer(
            headers={"Connection": "close"} if len(collector.requests) % 2 else {}
        )
        log = AuditLog(spec(collector.url))
        for number in range(6):
            log.write(line(number))
            assert await numbers(collector, number + 1) == list(range(number + 1))
        log.close()


async def test_a_renewed_token_is_used_for_the_next_lines(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("one\n")
    with Collector() as collector:
        value = {"value_file": str(token), "prefix": "Bearer "}
        log = AuditLog(spec(collector.url, headers={"Authorization": value, "X-Scope-OrgID": {"value": "audit"}}))
        log.write(line(1))
        await numbers(collector, 1)
        token.unlink()
        log.write(line(2))
        token.write_text("two")
        await numbers(collector, 2)
        log.close()
    assert [each["Authorization"] for each in collector.requests] == ["Bearer one", "Bearer two"]
    assert collector.requests[0]["X-Scope-OrgID"] == "audit"


async def test_lines_go_over_tls_with_the_gateways_own_certificate(tmp_path: Path) -> None:
    made, other = make_server_certificate(tmp_path / "one"), make_server_certificate(tmp_path / "other", "other")
    own = {"certificate_file": str(made.certificate), "key_file": str(made.key)}
    with Collector(made) as collector:
        log = AuditLog(spec(collector.url, ca_file=str(made.ca), **own))
        log.write(line(1))
        assert await numbers(collector, 1) == [1]
        log.close()
        stranger = AuditLog(spec(collector.url, ca_file=str(other.ca), **own))
        stranger.write(line(2))
        stranger.close()
        assert collector.bodies == [line(1).decode()]


def test_pools_share_the_log_of_a_collector_only_with_the_same_settings() -> None:
    logs = AuditLogs()
    one, same, other = spec("http://c"), spec("http://c", "1MiB"), spec("http://c", headers={"X-Tenant": "b"})
    taken = logs.take(one)
    assert logs.take(same) is taken
    assert logs.take(other) is not taken
    for each in (one, same, other):
        logs.give_back(each)


@pytest.mark.parametrize(
    ("url", "sent_to"),
    [
        ("https://c.example", "https://c.example/v1/logs"),
        ("https://c.example:4318/", "https://c.example:4318/v1/logs"),
        ("http://c.monitoring.svc:3100/otlp/v1/logs", "http://c.monitoring.svc:3100/otlp/v1/logs"),
    ],
)
def test_a_url_without_a_path_gets_that_of_logs(url: str, sent_to: str) -> None:
    found = spec(url).otlp
    assert found is not None
    assert found.logs_url == sent_to


@pytest.mark.parametrize("url", ["http://collector.example.com:4318", "c:4318", "http://u:p@c", "http://c?x", ""])
def test_a_url_that_would_carry_lines_in_clear_or_is_none_is_refused(url: str) -> None:
    with pytest.raises(ValueError, match="url"):
        spec(url)
