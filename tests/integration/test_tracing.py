"""Traces of calls and attempts, as a collector gets them and as servers see their context."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("opentelemetry.proto", reason="needs the extra `otel`: make install")

from mcppool.observe import logs
from mcppool.spec.sections.tracing import TracingSpec
from tests.integration.cached import HintServer, ListeningServer, caching_pool
from tests.integration.traced import spans, tracing
from tests.servers.collector import Collector
from tests.servers.faults import Exchange, reset_before
from tests.servers.process import free_port
from tests.waiting import until
from tests.written_lines import written_json

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
SAMPLED = f"00-{TRACE}-{PARENT}-01"
ROOT = Path(__file__).resolve().parents[2]
NO_CACHE = 'type = "none"'


def calls_of(server: HintServer, tool: str) -> list[Any]:
    return [exchange for exchange in server.requests if exchange.tool == tool]


async def test_a_call_gives_a_server_span_and_a_client_span_by_the_conventions() -> None:
    with Collector() as collector:
        async with (
            HintServer() as server,
            caching_pool(server, cache=NO_CACHE, sections=tracing(collector)) as client,
        ):
            await client.tool("read", {"a": 1})
            (call,), (attempt,) = await spans(collector, 2)
        assert (call.name, attempt.name) == ("tools/call read", "tools/call read")
        assert attempt.trace_id == call.trace_id
        assert (attempt.parent_id, call.parent_id) == (call.span_id, "")
        assert 0 < attempt.nanoseconds <= call.nanoseconds
        common = {
            "mcp.method.name": "tools/call",
            "gen_ai.tool.name": "read",
            "gen_ai.operation.name": "execute_tool",
            "mcp.protocol.version": "2026-07-28",
            "jsonrpc.request.id": "1",
            "network.transport": "tcp",
            "network.protocol.name": "http",
            "network.protocol.version": "1.1",
            "mcppool.pool": "demo",
        }
        assert call.attributes == {**common, "mcppool.attempts": 1}
        host, _, port = server.url.removeprefix("http://").partition("/")[0].partition(":")
        assert attempt.attributes == {
            **common,
            "server.address": host,
            "server.port": int(port),
            "mcppool.endpoint": server.url,
            "mcppool.attempt": 1,
        }
        assert not call.failed
        assert not attempt.failed
        assert collector.resources[0]["service.name"] == "mcppool"


async def test_the_context_comes_from_meta_and_goes_on_in_meta_and_header() -> None:
    with Collector() as collector:
        async with (
            HintServer() as server,
            caching_pool(server, cache=NO_CACHE, sections=tracing(collector, "sample_ratio = 0")) as client,
        ):
            meta = {"traceparent": SAMPLED, "tracestate": "a=1", "baggage": "b=2", "x/y": [1, 2]}
            params = {"name": "read", "arguments": {"traceparent": "mine"}, "_meta": meta}
            other = b"traceparent: 00-%032x-%016x-01\r\ntracestate: other=1\r\n" % (5, 6)
            answer = await client.ask("tools/call", params, headers=other)
            assert answer["result"]
            (call,), (attempt,) = await spans(collector, 2)
        assert (call.trace_id, call.parent_id, call.state) == (TRACE, PARENT, "a=1")
        assert call.links == [(f"{5:032x}", f"{6:016x}")]
        (sent,) = calls_of(server, "read")
        goes_on = f"00-{TRACE}-{attempt.span_id}-01"
        assert sent.body["params"]["_meta"].items() >= {**meta, "traceparent": goes_on}.items()
        assert sent.body["params"]["arguments"] == {"traceparent": "mine"}
        assert (sent.headers["traceparent"], sent.headers["tracestate"]) == (goes_on, "a=1")


async def test_a_context_in_headers_alone_goes_on_in_meta_too() -> None:
    with Collector() as collector:
        async with (
            HintServer() as server,
            caching_pool(server, cache=NO_CACHE, sections=tracing(collector, "sample_ratio = 0")) as client,
        ):
            headers = b"traceparent: %b\r\ntracestate: a=1\r\nbaggage: b=2\r\n" % SAMPLED.encode()
            await client.ask("tools/call", {"name": "read", "arguments": {}}, headers=headers)
            (call,), (attempt,) = await spans(collector, 2)
        assert (call.trace_id, call.parent_id) == (TRACE, PARENT)
        meta = calls_of(server, "read")[0].body["params"]["_meta"]
        assert (meta["traceparent"], meta["tracestate"], meta["baggage"]) == (
            f"00-{TRACE}-{attempt.span_id}-01", "a=1", "b=2",
        )  # fmt: skip


@pytest.mark.parametrize(("flags", "ratio", "parent_based"), [("00", 1, "true"), ("01", 0, "false")])
async def test_a_call_that_is_not_sampled_passes_unchanged(flags: str, ratio: int, parent_based: str) -> None:
    with Collector() as collector:
        more = f"sample_ratio = {ratio}\nparent_based = {parent_based}"
        async with (
            HintServer() as server,
            caching_pool(server, cache=NO_CACHE, sections=tracing(collector, more)) as client,
        ):
            parent = f"00-{TRACE}-{PARENT}-{flags}"
            await client.ask("tools/call", {"name": "read", "arguments": {}, "_meta": {"traceparent": parent}})
            (sent,) = calls_of(server, "read")
            assert sent.body["params"]["_meta"]["traceparent"] == parent
            assert "traceparent" not in sent.headers
            await client.pool.stop()
        assert collector.spans == []
        assert client.pool.metrics.spans == 0


async def test_each_attempt_has_a_span_and_the_failed_one_names_its_cause() -> None:
    with Collector() as collector:
        async with (
            HintServer() as bad,
            HintServer() as good,
            caching_pool(
                bad, good, cache=NO_CACHE,
                sections=tracing(collector) + '[pools.load_balancer]\nstrategy = "round_robin"\n',
            ) as client,
        ):  # fmt: skip
            bad.behaviour = reset_before
            while not calls_of(bad, "read"):
                assert (await client.ask("tools/call", {"name": "read", "arguments": {}}))["result"]
            calls, attempts = await spans(collector, client.pool.metrics.spans)
        failed = [attempt for attempt in attempts if attempt.failed]
        assert [attempt.error for attempt in failed] == ["connection_lost"]
        assert failed[0].message
        (call,) = [call for call in calls if call.trace_id == failed[0].trace_id]
        assert call.attributes["mcppool.attempts"] == 2
        assert not call.failed
        of_call = [attempt for attempt in attempts if attempt.trace_id == call.trace_id]
        assert [attempt.attributes["mcppool.attempt"] for attempt in of_call] == [1, 2]
        assert {attempt.parent_id for attempt in of_call} == {call.span_id}
        sent = [calls_of(server, "read")[-1].body["params"]["_meta"]["traceparent"] for server in (bad, good)]
        assert sent[0] != sent[1]


async def test_errors_have_their_code_and_tool_errors_their_name() -> None:
    with Collector() as collector:
        async with (
            HintServer() as server,
            caching_pool(server, cache=NO_CACHE, sections=tracing(collector)) as client,
        ):
            server.extra = {"isError": True}
            await client.ask("tools/call", {"name": "read", "arguments": {}})
            server.extra = {}

            async def refuse(exchange: Any) -> None:
                error = {"code": exchange.body["params"]["arguments"]["code"], "message": "no"}
                await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "error": error})

            server.behaviour = refuse
            for code in (-32602, -32050):
                await client.ask("tools/call", {"name": "read", "arguments": {"code": code}})
            server.behaviour = reset_before
            await client.ask("tools/call", {"name": "write", "arguments": {}})
            calls, attempts = await spans(collector, 8)
        assert [call.error for call in calls] == ["tool_error", None, "-32050", "-32603"]
        assert [attempt.error for attempt in attempts] == ["tool_error", "-32602", "-32050", "connection_lost"]
        assert [call.attributes.get("rpc.response.status_code") for call in calls] == [
            None, "-32602", "-32050", "-32603",
        ]  # fmt: skip
        assert calls[3].attributes["mcppool.reason"] == "connection_lost"
        assert [call.failed for call in calls] == [True, False, True, True]


async def test_a_cached_answer_has_a_server_span_alone() -> None:
    with Collector() as collector:
        more = tracing(collector) + '[pools.tools.read]\ncache_ttl = "1m"\n'
        async with HintServer() as server, caching_pool(server, sections=more) as client:
            assert await client.tool("read") == await client.tool("read")
            calls, attempts = await spans(collector, 3)
        assert [call.attributes["mcppool.attempts"] for call in calls] == [1, 0]
        assert len(attempts) == 1


async def test_durations_of_all_calls_are_sent_whether_sampled_or_not() -> None:
    with Collector() as collector:
        async with (
            HintServer() as server,
            caching_pool(server, cache=NO_CACHE, sections=tracing(collector, "sample_ratio = 0")) as client,
        ):
            await client.tool("read")
            await client.ask("tools/list")
        found = {metric.name: metric for metric in collector.metrics}  # sent at the end
        assert set(found) == {"mcp.server.operation.duration", "mcp.client.operation.duration"}
        for metric in found.values():
            assert metric.unit == "s"
            points = {json.dumps(sorted((each.key, each.value.string_value) for each in point.attributes)): point.count
                      for point in metric.histogram.data_points}  # fmt: skip
            assert sum(points.values()) == 2, points
            (tool,) = [key for key in points if "tools/call" in key]
            assert '["gen_ai.operation.name", "execute_tool"]' in tool
            assert '["mcp.protocol.version", "2026-07-28"]' in tool


async def test_calls_go_on_without_a_collector_and_lost_spans_are_counted() -> None:
    section = f'[pools.tracing]\nenabled = true\nqueue = 3\nendpoint = "http://127.0.0.1:{free_port()}"\n'
    async with HintServer() as server, caching_pool(server, cache=NO_CACHE, sections=section) as client:
        for _ in range(4):
            await client.tool("read")
        assert client.pool.metrics.spans + client.pool.metrics.spans_dropped == 8
        assert client.pool.metrics.spans <= 3


async def test_log_and_audit_lines_of_a_sampled_call_name_its_trace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logged: list[str] = []
    monkeypatch.setattr(logs._writer, "write", logged.append)
    for name, value in (("_render", logs.json_line), ("_to_program", False), ("_threshold", 20)):
        monkeypatch.setattr(logs, name, value)  # whatever a gateway or a pool in this process has set before
    audit = f'[pools.audit]\ntype = "file"\nfile = "{tmp_path / "audit.jsonl"}"\n'
    with Collector() as collector:
        async with (
            HintServer() as server,
            caching_pool(server, cache=NO_CACHE, sections=tracing(collector) + audit) as client,
        ):
            server.behaviour = reset_before
            assert (await client.ask("tools/call", {"name": "write", "arguments": {}}))["error"]
            (call,), _ = await spans(collector, 2)
        ids = {"trace_id": call.trace_id, "span_id": call.span_id}
        (failed,) = [line for line in map(json.loads, logged) if line["event"] == "call_failed"]
        (audited,) = written_json(tmp_path / "audit.jsonl")
        for line in (failed, audited):
            assert line.items() >= ids.items()
        assert not [line for line in logged if "trace_id" in line and call.trace_id not in line]


async def test_the_span_of_a_subscription_ends_when_its_stream_is_open() -> None:
    with Collector() as collector:
        async with ListeningServer() as server, caching_pool(server, sections=tracing(collector)) as client:
            params = {"notifications": {"toolsListChanged": True}}
            listening = asyncio.create_task(client.ask("subscriptions/listen", params))
            (call,), attempts = await spans(collector, 1)
            assert not listening.done()
            assert (call.name, call.error, attempts) == ("subscriptions/listen", None, [])
            listening.cancel()
            await asyncio.gather(listening, return_exceptions=True)
        assert len(collector.spans) == 1
        assert collector.metrics == []  # a stream is no operation with a duration


async def test_tracing_can_begin_and_end_while_the_pool_serves() -> None:
    with Collector() as collector:
        async with HintServer() as server, caching_pool(server, cache=NO_CACHE) as client:
            spec = client.pool.spec
            traced = TracingSpec(enabled=True, endpoint=collector.url)
            await client.tool("read")
            client.pool.configure(spec.model_copy(update={"tracing": traced}))
            await client.tool("read")
            await spans(collector, 2)
            client.pool.configure(spec)
            await client.tool("read")
            assert client.pool.metrics.spans == 2
        assert len(collector.spans) == 2


async def test_a_streamed_answer_counts_until_its_end() -> None:
    ends = asyncio.Event()

    async def stream(exchange: Exchange) -> None:
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n")
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x"}}
        await exchange.send(b"data: %b\n\n" % json.dumps(note).encode())
        await ends.wait()
        await exchange.send(b"data: %b\n\n" % json.dumps(exchange.answer()).encode())
        exchange.close()

    with Collector() as collector:
        async with (
            HintServer() as server,
            caching_pool(server, cache=NO_CACHE, sections=tracing(collector)) as client,
        ):
            server.behaviour = stream
            call = asyncio.create_task(client.ask("tools/call", {"name": "read", "arguments": {}}))
            await until(lambda: calls_of(server, "read"), "the server has the call")
            assert client.pool.metrics.spans == 0
            ends.set()
            assert (await call)["result"]
            await spans(collector, 2)


def test_without_tracing_nothing_of_it_is_loaded() -> None:
    program = """
import asyncio, sys
import mcppool.gateway.gateway, mcppool.pipeline.pool.pool
ours = ("opentelemetry", "google.protobuf", "mcppool.pipeline.tracing")
loaded = [name for name in sys.modules if name.startswith(ours)]
assert not loaded, loaded
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=120)


async def test_the_example_shows_a_trace_as_a_tree() -> None:
    program = await asyncio.create_subprocess_exec(
        sys.executable, "examples/show_traces.py", "--port", "0", stdout=subprocess.PIPE, cwd=ROOT
    )
    assert program.stdout is not None
    try:
        async with asyncio.timeout(120):
            url = (await program.stdout.readline()).decode().split()[-1]
            section = f'[pools.tracing]\nenabled = true\nendpoint = "{url}"\n'
            async with HintServer() as server, caching_pool(server, cache=NO_CACHE, sections=section) as client:
                await client.tool("read")
                shown = [(await program.stdout.readline()).decode().split() for _ in range(3)]
        assert shown[0][0] == "trace"
        assert (shown[1][:2], shown[1][-1]) == (["tools/call", "read"], "server")
        assert shown[2][-2:] == ["client", server.url.removeprefix("http://").removesuffix("/mcp")]
    finally:
        program.terminate()
        await program.wait()
