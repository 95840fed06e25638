"""The first call, and the next ones, of real clients through the gateway to real servers."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import aiohttp
import pytest
from mcp import Client

from tests.conftest import GatewayFactory
from tests.servers import (
    Replica,
    ServerProcess,
    aserving,
    everything_server,
    executions,
    mcp1_client,
    modern_call,
    npm_everything_server,
    pool_toml,
    sdk1_replica,
    urls_of,
)
from tests.servers.faults import Exchange, FaultServer


async def test_a_client_of_the_current_sdk_stays_modern_and_gets_its_answers(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    async with Client(front.url) as client:
        assert client.protocol_version == "2026-07-28"
        assert {"add", "whoami", "write"} <= {tool.name for tool in (await client.list_tools()).tools}
        assert (await client.call_tool("add", {"a": 2, "b": 3})).structured_content == {"result": 5}
        assert (await client.call_tool("fail", {})).is_error
        resource = await client.read_resource("replica://name")
        assert getattr(resource.contents[0], "text", None) in {"a", "b", "c"}


async def test_the_calls_of_one_modern_client_are_shared_by_all_replicas(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], ledger: Path
) -> None:
    front = gateway(pool_toml(*urls_of(replicas), sections='[pools.load_balancer]\nstrategy = "round_robin"'))
    async with Client(front.url) as client:
        await client.call_tool("add", {"a": 0, "b": 0})  # after its first call the SDK lists the tools
        for _ in range(30):
            await client.call_tool("whoami", {})
    shares = Counter(line["name"] for line in executions(ledger, "whoami"))
    assert shares == {"a": 10, "b": 10, "c": 10}


async def test_a_gateway_serves_one_pool_at_two_paths_and_no_other(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas), name="search"))
    headers, body = modern_call("add", {"a": 1, "b": 1})
    root = front.url.removesuffix("/mcp")
    async with aiohttp.ClientSession() as http:
        for path, expected in (("/mcp", 200), ("/search/mcp", 200), ("/other/mcp", 404), ("/", 404)):
            async with http.post(root + path, data=body, headers=headers) as response:
                assert response.status == expected, path


async def test_a_client_of_the_old_sdk_keeps_one_session_on_one_replica(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    async with mcp1_client(front.url) as client:
        assert client.hello["protocol"] == "2025-11-25"
        assert client.hello["session"]
        names = {(await client.call("whoami"))["result"]["structuredContent"]["name"] for _ in range(10)}
        assert len(names) == 1


async def test_the_sessions_of_many_old_clients_are_spread_over_the_replicas(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas), sections='[pools.load_balancer]\nstrategy = "round_robin"'))

    async def whose() -> str:
        async with mcp1_client(front.url) as client:
            name: str = (await client.call("whoami"))["result"]["structuredContent"]["name"]
            return name

    assert {await whose() for _ in range(3)} == {"a", "b", "c"}


@pytest.mark.parametrize("stateless", [False, True], ids=["stateful", "stateless"])
async def test_an_old_client_uses_old_servers_with_and_without_sessions(
    gateway: GatewayFactory, ledger: Path, stateless: bool
) -> None:
    servers = [sdk1_replica(name, ledger, stateless=stateless) for name in "ab"]
    async with aserving(*servers):
        front = await asyncio.to_thread(gateway, pool_toml(*urls_of(servers)))
        async with mcp1_client(front.url) as client:
            assert (client.hello["session"] is None) is stateless
            assert (await client.call("add", a=2, b=3))["result"]["structuredContent"] == {"result": 5}
            assert (await client.call("progress", n=3))["progress"] == [1, 2, 3]


async def test_a_current_client_falls_back_to_a_session_with_old_servers(gateway: GatewayFactory, ledger: Path) -> None:
    async with aserving(sdk1_replica("a", ledger), sdk1_replica("b", ledger)) as servers:
        front = await asyncio.to_thread(gateway, pool_toml(*urls_of(servers)))
        async with Client(front.url) as client:
            assert client.protocol_version == "2025-11-25"
            names = {(await client.call_tool("whoami", {})).structured_content["name"] for _ in range(5)}
            assert len(names) == 1


@pytest.mark.parametrize("make", [everything_server, npm_everything_server], ids=["python", "npm"])
async def test_published_servers_work_behind_the_gateway(
    make: Callable[[str], ServerProcess], gateway: GatewayFactory
) -> None:
    servers = [make(name) for name in "ab"]
    async with aserving(*servers):
        front = await asyncio.to_thread(gateway, pool_toml(*urls_of(servers)))
        async with Client(servers[0].url) as direct, Client(front.url) as client:
            assert client.protocol_version == direct.protocol_version
            tools = (await client.list_tools()).tools
            assert tools == (await direct.list_tools()).tools
            name, arguments = ("echo", {"message": "hi"}) if make is npm_everything_server else ("test_simple_text", {})
            answer = await client.call_tool(name, arguments)
            assert answer.content == (await direct.call_tool(name, arguments)).content


async def test_an_answer_passes_byte_for_byte(gateway: GatewayFactory) -> None:
    odd = (
        b'{"result": {"zeta":1.0,"alpha" : [1e400, 12345678901234567890, 0.1000],"resultType":"complete","content":[],'
        b'"x-unknown":{"b":null,"a":"\\u00e9\xc3\xa9"}}, "vendor":true,"id":7 ,"jsonrpc":"2.0"}'
    )

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        await exchange.respond(odd)

    async with FaultServer(behave) as server, aiohttp.ClientSession() as http:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        headers, body = modern_call("read", {"n": 1}, request_id=7)
        sent = body.replace(
            b'"arguments":{"n":1}', b'"arguments" : {"n":1.50e0, "z":12345678901234567890,"a":"\\u00e9"}'
        )
        assert sent != body
        async with http.post(front.url, data=sent, headers={**headers, "Mcp-Param-Region": "eu"}) as response:
            assert await response.read() == odd
        (seen,) = server.calls("read")
        assert seen.raw == sent
        assert seen.headers["mcp-param-region"] == "eu"
        assert seen.headers["host"] == f"127.0.0.1:{server.port}"


async def test_events_are_relayed_as_they_come(gateway: GatewayFactory) -> None:
    gate = asyncio.Event()

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        notice = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progressToken": "p", "progress": 1}}
        events = [f"event: message\ndata: {json.dumps(message)}\n\n" for message in (notice, exchange.answer())]
        await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
        for event in events:
            await exchange.send(f"{len(event):x}\r\n{event}\r\n".encode())
            await gate.wait()
        await exchange.send(b"0\r\n\r\n")

    async with FaultServer(behave) as server, aiohttp.ClientSession() as http:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        headers, body = modern_call("read", {}, request_id="r")
        async with http.post(front.url, data=body, headers=headers) as response:
            assert response.content_type == "text/event-stream"
            first = await asyncio.wait_for(response.content.readuntil(b"\n\n"), 60)
            assert b"notifications/progress" in first  # it is here while the server waits
            gate.set()
            assert b'"id": "r"' in await response.read()


async def test_progress_of_a_real_server_reaches_the_client(
    gateway: GatewayFactory, sse_replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(sse_replicas)))
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with Client(front.url) as client:
        answer = await client.call_tool("progress", {"n": 5}, progress_callback=on_progress)
    assert seen == [1, 2, 3, 4, 5]
    assert answer.structured_content == {"result": 5}


async def test_a_large_answer_arrives_whole(gateway: GatewayFactory, replicas: tuple[Replica, ...]) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    async with Client(front.url) as client:
        answer = await client.call_tool("big", {"size": 3_000_000})
    assert answer.structured_content == {"result": "x" * 3_000_000}


async def test_many_calls_at_once_get_each_its_own_answer(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)), profile="production")
    async with Client(front.url) as client:
        answers = await asyncio.gather(*(client.call_tool("add", {"a": n, "b": 1000}) for n in range(100)))
    assert [answer.structured_content for answer in answers] == [{"result": n + 1000} for n in range(100)]
