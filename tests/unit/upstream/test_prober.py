"""The prober among servers that answer in their own ways."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from mcppool import supervision
from mcppool.spec import EndpointSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.probing.prober import Prober
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy, status
from tests.servers.framing import connection_close, http10
from tests.servers.handshakes import Handshakes
from tests.unit.upstream.transports import pool_spec
from tests.waiting import until


@asynccontextmanager
async def probed(server: FaultServer) -> AsyncIterator[tuple[Endpoint, Prober]]:
    """An endpoint with a catalog."""
    spec = pool_spec(min_connections=0, health_check_interval="100ms")
    endpoint = Endpoint(EndpointSpec(url=server.url), spec)
    prober = Prober(endpoint, spec, on_round=lambda _: None)
    try:
        await until(lambda: endpoint.catalog is not None, endpoint.stats.last_fault or "a catalog")
        yield endpoint, prober
    finally:
        await prober.stop()
        endpoint.connections.abort()


@pytest.mark.parametrize("behaviour", [connection_close, http10])
async def test_a_server_that_closes_after_each_answer_has_a_catalog_too(behaviour: Behaviour) -> None:
    async with FaultServer(behaviour, everything=True) as server, probed(server) as (endpoint, _):
        assert endpoint.catalog is not None
        assert set(endpoint.catalog.tools) == {"read", "write"}
        assert endpoint.available


async def test_a_check_that_finds_the_same_tools_keeps_the_same_catalog() -> None:
    async with FaultServer() as server, probed(server) as (endpoint, _):
        catalog, checks = endpoint.catalog, endpoint.stats.checks
        await until(lambda: endpoint.stats.checks >= checks + 3, "three more checks, so two more catalogs")
        assert endpoint.catalog is catalog
        server.tools = server.tools[:1]
        await until(lambda: endpoint.catalog is not catalog, "another catalog")
        assert endpoint.catalog is not None
        assert set(endpoint.catalog.tools) == {"read"}


@pytest.mark.parametrize(
    "version", ["2025\r\nX-Injected: yes", "é", "\U0001f600", "9" * 5000, "", ["2025-11-25"], None]
)
async def test_a_protocol_version_that_cannot_be_one_fails_the_check_and_ends_the_session(
    version: object,
) -> None:
    ended: list[str] = []

    async def behave(exchange: Exchange) -> None:
        method = exchange.body["method"] if exchange.body else exchange.method
        if method == "initialize":
            await exchange.respond(
                {"jsonrpc": "2.0", "id": exchange.body["id"], "result": {"protocolVersion": version}},
                headers=[("Mcp-Session-Id", "one")],
            )
        elif method == "DELETE":
            ended.append(exchange.headers["mcp-session-id"])
            await exchange.respond(b"")
        else:
            await exchange.respond(b"", status="404 Not Found")

    async with FaultServer(behave, everything=True) as server:
        spec = pool_spec(min_connections=0, health_check_interval="100ms")
        endpoint = Endpoint(EndpointSpec(url=server.url), spec)
        prober = Prober(endpoint, spec, on_round=lambda _: None)
        before = supervision.failures.total()
        await until(lambda: len(ended) >= 2, "two handshakes were made and ended")
        await prober.stop()
        endpoint.connections.abort()
    assert supervision.failures.total() == before
    assert not [seen for seen in server.requests if "x-injected" in seen.headers]
    assert endpoint.catalog is None


def list_tools_answers(then: Behaviour) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        await (then if exchange.body and exchange.body["method"] == "tools/list" else healthy)(exchange)

    return behave


async def busy(exchange: Exchange) -> None:
    error = {"code": -32603, "message": "not now"}
    await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "error": error})


@pytest.mark.parametrize("moment", [busy, status("429 Too Many Requests"), status("500 Internal Server Error")])
async def test_a_bad_moment_of_a_server_takes_nothing_out_of_its_catalog(moment: Behaviour) -> None:
    async with FaultServer(everything=True) as server, probed(server) as (endpoint, _):
        server.behaviour = list_tools_answers(moment)
        before = len(server.requests)
        await until(lambda: len(server.requests) > before + 4, "two more rounds")
        assert endpoint.catalog is not None
        assert set(endpoint.catalog.tools) == {"read", "write"}
        server.behaviour = list_tools_answers(unknown_method)
        await until(lambda: endpoint.catalog is not None and not endpoint.catalog.tools, "it has no tools any more")


async def unknown_method(exchange: Exchange) -> None:
    error = {"code": -32601, "message": "Method not found"}
    await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "error": error}, status="404 Not Found")


async def test_a_server_that_only_cannot_list_its_tools_can_be_discovered() -> None:
    async with FaultServer(list_tools_answers(busy), everything=True) as server, probed(server) as (endpoint, _):
        assert endpoint.catalog is not None
        assert endpoint.catalog.discover is not None
        assert endpoint.available


async def test_a_session_of_our_own_tells_a_restart_from_a_session_that_has_expired() -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server, probed(server) as (_, prober):
        assert handshakes.sessions
        later = time.time() + 3600
        assert not await prober.survived(0), "a session that is younger than the client's tells nothing"
        assert await prober.survived(later)
        handshakes.sessions.clear()
        assert not await prober.survived(later)


async def test_calls_may_ask_whether_our_session_has_survived_while_a_check_replaces_it() -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server, probed(server) as (_, prober):
        for _ in range(5):
            await until(lambda: bool(handshakes.sessions), "a session of ours")
            handshakes.sessions.clear()
            while not handshakes.sessions:
                questions = [asyncio.create_task(prober.survived(time.time() + 3600)) for _ in range(8)]
                assert not any(await asyncio.gather(*questions)) or handshakes.sessions


async def test_an_endpoint_that_came_back_has_its_connections_again() -> None:
    async with FaultServer() as server:
        spec = pool_spec(min_connections=2, health_check_interval="100ms", reconnect_backoff="10ms")
        endpoint = Endpoint(EndpointSpec(url=server.url), spec)
        endpoint.connections.warm_up()
        prober = Prober(endpoint, spec, on_round=lambda _: None)
        try:
            await until(lambda: endpoint.connections.idle == 2, "warm")
            await server.refuse()
            await until(lambda: endpoint.lost, "lost")
            await server.listen()
            await until(lambda: endpoint.available and endpoint.connections.idle == 2, "warm again")
        finally:
            await prober.stop()
            endpoint.connections.abort()
