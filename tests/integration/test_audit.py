"""The audit log of a pool: a line for each call of a tool and each refusal, without secrets."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from mcppool.observe import audit, audit_sinks
from mcppool.policy.principal import Principal
from tests.integration.cached import Client, HintServer, caching_pool
from tests.integration.test_access import ALICE, RULES, ask_as, restrict
from tests.servers.faults import reset_before
from tests.servers.process import free_port
from tests.waiting import until
from tests.written_lines import written_json, written_lines

SECRETS = {
    "user": "ann",
    "Password": "p4ss",
    "nested": [{"api_key": {"value": "k3y"}, "note": "fine"}],
    "access_token": "t0k3n",
}


def section(path: Path, more: str = "") -> str:
    return f'[pools.audit]\ntype = "file"\nfile = "{path}"\n{more}\n'


async def lines(path: Path, count: int) -> list[dict[str, Any]]:
    """The lines of the log, once there are so many."""
    await until(lambda: len(written_lines(path)) >= count, "the lines are written")
    found = written_json(path)
    assert len(found) == count
    return found


async def call(client: Client, name: str, arguments: Any = None, principal: Principal = ALICE) -> Any:
    params = {"name": name, "arguments": {} if arguments is None else arguments}
    return (await ask_as(client, principal, "tools/call", params))[1]


async def test_each_call_and_each_refusal_has_a_line_with_client_tool_and_outcome(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    text = '[pools.tools.read]\ncache_ttl = "1m"\n' + RULES.format(more="") + section(path)
    async with HintServer() as server, caching_pool(server, sections=text) as client:
        restrict(client)
        await call(client, "read", SECRETS)
        await call(client, "read", SECRETS)  # which the cache answers
        await call(client, "exec")
        await ask_as(client, ALICE, "tools/list")
        await ask_as(client, ALICE, "resources/read", {"uri": "docs://secret/a"})
        server.behaviour = reset_before
        await call(client, "search")
        found = await lines(path, 5)
        assert [
            (line["event"], line["method"], line["name"], line["status"], line["attempts"], line["allowed"])
            for line in found
        ] == [
            ("call", "tools/call", "read", "success", 1, True),
            ("call", "tools/call", "read", "success", 0, True),
            ("denied", "tools/call", "exec", "rejected", 0, False),
            ("denied", "resources/read", "docs://secret/a", "rejected", 0, False),
            ("call", "tools/call", "search", "error", 1, True),
        ]
        first, kept, denied, _, failed = found
        assert first["principal"] == {"method": "jwt", "subject": "alice", "token": "t-alice"}
        assert (first["endpoint"], first["rule"], first["delivered"]) == (server.url, "readers", "yes")
        assert "endpoint" not in kept
        assert (denied["rule"], denied["missing_scopes"], denied["delivered"]) == ("not_allowed", ["admin"], "no")
        assert (failed["reason"], failed["delivered"]) == ("connection_lost", "unknown")
        assert failed["id"]
        assert len({line["policy"] for line in found}) == 1
        assert all("arguments" not in line and line["duration_ms"] >= 0 for line in found)
        assert client.pool.metrics.audit_lines == 5


async def test_arguments_are_written_where_that_is_asked_for_without_what_is_secret(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    async with HintServer() as server, caching_pool(server, sections=section(path, "arguments = true")) as client:
        await call(client, "read", SECRETS)
        await call(client, "read", {"text": "x" * 10_000})
        await call(client, "read", {"text": "\ud83d"})
        found = await lines(path, 3)
        assert found[0]["arguments"] == {
            "user": "ann",
            "Password": "[redacted]",
            "nested": [{"api_key": "[redacted]", "note": "fine"}],
            "access_token": "[redacted]",
        }
        assert "left out" in found[1]["arguments"]
        assert found[2]["arguments"] == {"text": "\ufffd"}


async def test_in_shadow_mode_a_line_names_the_call_that_would_be_refused(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    async with HintServer() as server, caching_pool(server, sections=RULES.format(more="") + section(path)) as client:
        restrict(client, mode="shadow")
        await call(client, "exec")
        await ask_as(client, ALICE, "prompts/get", {"name": "other"})
        for line in await lines(path, 2):
            assert (line["event"], line["allowed"], line["would_be_denied"]) == ("call", True, True)


async def test_names_of_any_length_and_kind_make_one_bounded_line(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    async with HintServer() as server, caching_pool(server, sections=section(path)) as client:
        await call(client, 'a"\n\u2028' * 2000)
        await call(client, "\ud83d")
        (long, _) = await lines(path, 2)
        assert len(long["name"]) < 600
        assert long["name"].endswith("(8000 characters)")


@pytest.mark.parametrize("overflow", ["drop", "refuse"])
async def test_a_full_log_drops_lines_or_refuses_calls_as_configured(
    tmp_path: Path, overflow: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stuck = asyncio.Event()
    write = audit_sinks.write_all

    def fail(descriptor: int, data: bytes) -> None:
        if not stuck.is_set():
            raise OSError("no space left on device")
        write(descriptor, data)

    monkeypatch.setattr(audit_sinks, "write_all", fail)
    monkeypatch.setattr(audit, "RETRY_AFTER", 0.01)
    path = tmp_path / "audit.jsonl"
    text = section(path, f'buffer = "64KiB"\noverflow = "{overflow}"')
    async with HintServer() as server, caching_pool(server, sections=text) as client:
        trail = client.pool.access_log.audit
        assert trail is not None
        while client.pool.metrics.audit_dropped == 0 and not trail.refuses:
            trail.event("filler", {"text": "x" * 1000})
        answer = await call(client, "read")
        if overflow == "drop":
            assert answer["result"]
        else:
            assert answer["error"]["data"]["reason"] == "audit_full"
            assert (await ask_as(client, ALICE, "tools/list"))[1]["result"]
        stuck.set()
        await until(lambda: not trail.refuses and path.exists(), "lines are written again")
        assert (await call(client, "read"))["result"]


async def test_calls_go_on_while_the_collector_is_away_and_their_lines_come_later() -> None:
    pytest.importorskip("opentelemetry.proto", reason="needs the extra `otel`: make install")
    from tests.servers.collector import Collector

    port = free_port()
    section = f'[pools.audit]\ntype = "otlp"\notlp.url = "http://127.0.0.1:{port}"\n'
    async with HintServer() as server, caching_pool(server, sections=section) as client:
        for name in ("read", "search"):
            assert (await call(client, name))["result"]
        with Collector(port=port) as collector:
            await until(lambda: len(collector.records) == 2, "the lines are sent")
        assert [json.loads(body)["name"] for body in collector.bodies] == ["read", "search"]
        assert client.pool.metrics.audit_dropped == 0


async def test_another_file_and_none_are_taken_over_while_the_pool_serves(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    async with HintServer() as server, caching_pool(server, sections=section(one)) as client:
        spec = client.pool.spec
        await call(client, "read")
        client.pool.configure(spec.model_copy(update={"audit": spec.audit.model_copy(update={"file": str(other)})}))
        await call(client, "read")
        client.pool.configure(spec.model_copy(update={"audit": type(spec.audit)()}))
        await call(client, "read")
        await lines(one, 1)
        await lines(other, 1)
