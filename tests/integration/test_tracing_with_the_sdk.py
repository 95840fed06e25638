"""One trace through the official SDK's client, the gateway and the official SDK's server."""

from __future__ import annotations

import asyncio
import contextlib
import re
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

pytest.importorskip("opentelemetry.proto", reason="needs the extra `otel`: make install")

import uvicorn
from mcp import Client
from mcp.shared import _otel
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind

from tests.conftest import GatewayFactory
from tests.integration.test_stdio import SERVER, pool
from tests.integration.traced import SERVER as SERVER_KIND
from tests.integration.traced import Seen, tracing
from tests.servers import pool_toml
from tests.servers.collector import Collector
from tests.servers.process import HOST, free_port
from tests.servers.replica import Ledger, build
from tests.waiting import until


@pytest.fixture
def in_memory(monkeypatch: pytest.MonkeyPatch) -> InMemorySpanExporter:
    """The spans of the SDK's clients and servers in this process. The provider of OpenTelemetry's interface can be set
    only once in a process, so the SDK's tracer is replaced instead."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(_otel, "_tracer", provider.get_tracer("tests"))
    return exporter


@contextlib.asynccontextmanager
async def sdk_server() -> AsyncIterator[str]:
    """A server of the SDK in this process."""
    port = free_port()
    app = build("a", Ledger(None, "a")).streamable_http_app()
    server = uvicorn.Server(uvicorn.Config(app, HOST, port, log_config=None, ws="none"))
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started, "the server listens")
        yield f"http://{HOST}:{port}/mcp"
    finally:
        server.should_exit = server.force_exit = True
        await serving


def named(found: Any, name: str, kind: Any) -> Any:
    (one,) = [span for span in found if span.name == name and span.kind == kind]
    return one


def ids(span: ReadableSpan) -> tuple[str, str]:
    context = span.get_span_context()
    assert context is not None
    return f"{context.trace_id:032x}", f"{context.span_id:016x}"


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_client_gateway_and_server_are_in_one_trace(
    gateway: GatewayFactory, in_memory: InMemorySpanExporter, mode: Any
) -> None:
    with Collector() as collector:
        async with sdk_server() as url:
            front = await asyncio.to_thread(gateway, pool_toml(url, sections=tracing(collector)))
            async with Client(front.url, mode=mode) as client, asyncio.timeout(120):
                assert not (await client.call_tool("add", {"a": 1, "b": 2})).is_error
            name = "tools/call add"
            await until(lambda: sum(span.name == name for span in collector.spans) == 2, "both spans are sent")
            sdks = {SpanKind.CLIENT: f"MCP send {name}", SpanKind.SERVER: name}
            await until(
                lambda: {(span.kind, span.name) for span in in_memory.get_finished_spans()} >= sdks.items(),
                "the spans of the SDK have ended",
            )
            if mode == "legacy":  # its client has ended the session
                sessions = {"mcp.server.session.duration", "mcp.client.session.duration"}
                await until(lambda: sessions <= {metric.name for metric in collector.metrics}, "its duration is sent")
        ours = [Seen(span) for span in collector.spans if span.name == name]
        call, attempt = sorted(ours, key=lambda span: span.kind != SERVER_KIND)
        theirs = in_memory.get_finished_spans()
        client_span, server_span = (named(theirs, sdks[kind], kind) for kind in (SpanKind.CLIENT, SpanKind.SERVER))
        assert (call.trace_id, call.parent_id) == ids(client_span)
        assert (attempt.trace_id, attempt.parent_id) == (call.trace_id, call.span_id)
        assert ids(server_span)[0] == call.trace_id
        assert server_span.parent is not None
        assert f"{server_span.parent.span_id:016x}" == attempt.span_id
        version = "2026-07-28" if mode == "auto" else "2025-11-25"
        for span in (call, attempt):
            assert span.attributes["mcp.protocol.version"] == version
            assert ("mcp.session.id" in span.attributes) is (mode == "legacy")


async def test_each_of_several_workers_sends_its_spans_and_the_page_has_the_exemplars_of_all(
    gateway: GatewayFactory,
) -> None:
    with Collector() as collector:
        async with sdk_server() as url:
            front = await asyncio.to_thread(
                gateway, pool_toml(url, sections=tracing(collector, "metrics = false")), listener="workers = 2\n"
            )

            def senders() -> set[str]:
                return {resource["service.instance.id"] for resource in collector.resources}

            async with asyncio.timeout(120):
                while len(senders()) < 2:  # each connection goes to one of them
                    async with Client(front.url) as client:
                        assert not (await client.call_tool("add", {"a": 1, "b": 2})).is_error
            text = await asyncio.to_thread(openmetrics, front.admin_port)
            named = set(re.findall(r'trace_id="([0-9a-f]{32})"', text))
            assert named
            await until(
                lambda: named <= {span.trace_id.hex() for span in collector.spans}, "the traces that it names are sent"
            )


async def test_an_attempt_at_a_local_program_goes_through_a_pipe(gateway: GatewayFactory) -> None:
    with Collector() as collector:
        front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER, replicas=1, sections=tracing(collector)))
        async with Client(front.url) as client, asyncio.timeout(120):
            assert (await client.list_tools()).tools
        await until(lambda: sum(span.name == "tools/list" for span in collector.spans) == 2, "both spans are sent")
        found = [Seen(span) for span in collector.spans if span.name == "tools/list"]
        (attempt,) = [span for span in found if span.kind != SERVER_KIND]
        assert attempt.attributes["network.transport"] == "pipe"
        assert "server.address" not in attempt.attributes


def openmetrics(port: int) -> str:
    from urllib.request import Request, urlopen

    request = Request(f"http://{HOST}:{port}/metrics", headers={"Accept": "application/openmetrics-text"})
    with urlopen(request, timeout=60) as response:
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        text: str = response.read().decode()
        return text
