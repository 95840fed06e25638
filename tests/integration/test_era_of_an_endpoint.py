"""The era of an endpoint: one passing fault of a server does not make it a server with sessions."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.servers import Gateway, modern_request, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer, delayed, healthy, silent
from tests.servers.handshakes import Handshakes
from tests.waiting import until


def once_at_discover(answer: Behaviour) -> Behaviour:
    """Answers the first `server/discover` like this, and everything else correctly."""
    asked: list[Exchange] = []

    async def behave(exchange: Exchange) -> None:
        if exchange.body["method"] == "server/discover" and not asked:
            asked.append(exchange)
            await answer(exchange)
        else:
            await healthy(exchange)

    return behave


def error(code: int, status: str, **data: object) -> Behaviour:
    async def behave(exchange: Exchange) -> None:
        rpc_error = {"code": code, "message": "not now", "data": data}
        await exchange.respond({"jsonrpc": "2.0", "id": exchange.body["id"], "error": rpc_error}, status=status)

    return behave


async def answered(front: Gateway, headers: dict[str, str], body: bytes) -> None:
    """Return when the gateway answers the request with a result."""
    last: object = None
    deadline = time.monotonic() + 60
    async with aiohttp.ClientSession() as client:
        while time.monotonic() < deadline:
            async with client.post(front.url, data=body, headers=headers) as response:
                last = await response.json(content_type=None)
            if "result" in last:
                return
            await asyncio.sleep(0.05)
    pytest.fail(f"the last answer was {last}")


async def unavailable(exchange: Exchange) -> None:
    await exchange.respond(b"starting\n", status="503 Service Unavailable", content_type="text/plain")


@pytest.mark.parametrize(
    "hiccup",
    [
        pytest.param(unavailable, id="503"),
        pytest.param(error(-32603, "200 OK"), id="internal-error"),
        pytest.param(error(-32022, "400 Bad Request", supported=["2026-07-28"], requested="2026-07-28"), id="version"),
        pytest.param(error(-32020, "400 Bad Request"), id="header-mismatch"),
    ],
)
async def test_a_server_that_fails_its_first_discover_is_still_found_to_be_modern(
    gateway: GatewayFactory, hiccup: Behaviour
) -> None:
    async with FaultServer(once_at_discover(hiccup), everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        await answered(front, *modern_request("server/discover"))


async def test_a_legacy_server_that_answers_discover_with_an_internal_error_is_found_in_the_end(
    gateway: GatewayFactory,
) -> None:
    async def legacy(exchange: Exchange) -> None:
        unknown = exchange.body["method"] == "server/discover"
        await (error(-32603, "500 Internal Server Error") if unknown else healthy)(exchange)

    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}).encode()
    headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
    async with FaultServer(legacy, everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        await answered(front, headers, body)


HELLO = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "test", "version": "1"}}
LEGACY = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}


async def post(client: aiohttp.ClientSession, front: Gateway, session: str, method: str, **params: object) -> object:
    """The answer to a request on a session."""
    headers = LEGACY | ({"Mcp-Session-Id": session} if session else {})
    body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    async with client.post(front.url, json=body, headers=headers) as response:
        answer = await response.json(content_type=None)
        return response.headers.get("mcp-session-id") if method == "initialize" else answer


@pytest.mark.parametrize("unknown", [("server/discover",), ("server/discover", "ping")], ids=["discover", "and-ping"])
async def test_a_server_that_ignores_unknown_methods_survives_a_slow_call(
    gateway: GatewayFactory, unknown: tuple[str, ...]
) -> None:
    legacy = Handshakes(call=delayed(2.0))

    async def behave(exchange: Exchange) -> None:
        method = exchange.body["method"] if exchange.body else ""
        await (silent if method in unknown else legacy)(exchange)

    sections = """
[pools.health_check]
timeout = "800ms"
[pools.outlier_detection]
suspect_after = "500ms"
"""
    async with FaultServer(behave, everything=True) as server, aiohttp.ClientSession() as client:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        await answered(
            front, LEGACY, json.dumps({"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": HELLO}).encode()
        )
        session = str(await post(client, front, "", "initialize", **HELLO))
        for _ in range(2):
            answer = await post(client, front, session, "tools/call", name="read", arguments={})
            assert "result" in answer, answer
        again = str(await post(client, front, "", "initialize", **HELLO))
        answer = await post(client, front, again, "tools/call", name="read", arguments={})
        assert "result" in answer, answer
    assert "state=hung" not in front.log
    assert len(legacy.of("mcppool")) == 1


def for_those_with_a_key(behaviour: Behaviour) -> Behaviour:
    """HTTP 401 for all others."""

    async def behave(exchange: Exchange) -> None:
        if exchange.headers.get("x-api-key") == "secret":
            await behaviour(exchange)
        else:
            await exchange.respond(b"", status="401 Unauthorized", headers=[("WWW-Authenticate", "Bearer")])

    return behave


@pytest.mark.parametrize("servers", [1, 2])
@pytest.mark.parametrize("panic", [50, 0])
async def test_a_server_that_refuses_checks_answers_clients_with_credentials(
    gateway: GatewayFactory, servers: int, panic: int
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        fakes = [
            await stack.enter_async_context(FaultServer(for_those_with_a_key(healthy), everything=True))
            for _ in range(servers)
        ]
        sections = f"""[pools.headers]
forward = ["x-api-key"]
[pools.load_balancer]
panic_threshold_percent = {panic}
"""
        front = await asyncio.to_thread(gateway, pool_toml(*[fake.url for fake in fakes], sections=sections))
        await until(lambda: json.loads(front.get("/health")[1])["overall"] == "degraded", "its checks have failed")
        told = json.loads(front.get("/health")[1])["components"]["pool demo"]["message"]
        assert "checks are refused with HTTP 401" in told
        assert "headers.send" in told
        client = await stack.enter_async_context(aiohttp.ClientSession())
        requests: list[tuple[str, dict[str, object]]] = [
            ("server/discover", {}),
            ("tools/call", {"name": "write", "arguments": {}}),
        ]
        for method, params in requests:
            headers, body = modern_request(method, params)
            async with client.post(front.url, data=body, headers={**headers, "X-Api-Key": "secret"}) as response:
                assert "result" in await response.json(), method
            async with client.post(front.url, data=body, headers=headers) as response:
                assert response.status == 502, method
                assert (await response.json())["error"]["data"]["reason"] == "upstream_auth"
