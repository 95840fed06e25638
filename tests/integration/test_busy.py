"""A server that works on a call and is silent meanwhile is waited for; one that hangs is left."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest
from mcp import Client

from tests.conftest import GatewayFactory
from tests.servers import (
    Gateway,
    Replica,
    aserving,
    executions,
    mcp1_client,
    modern_call,
    modern_request,
    pool_toml,
    sdk1_replica,
    urls_of,
)
from tests.servers.faults import FaultServer, delayed, healthy
from tests.waiting import until

BLOCKED = 8.0  # seconds: longer than suspicion and a check take on a slow machine, and shorter than `hung_after`


def sections(hung_after: str = "60s") -> str:
    """Suspicion that comes soon; frequent checks, which go unanswered while a server is busy."""
    return f"""
[pools.connection_pool]
health_check_interval = "500ms"
[pools.health_check]
timeout = "1s"
[pools.outlier_detection]
suspect_after = "300ms"
hung_after = "{hung_after}"
"""


@pytest.fixture
async def single(ledger: Path) -> AsyncIterator[Replica]:
    """A server of the SDK 1.x, whose synchronous tools keep it from answering anything."""
    async with aserving(sdk1_replica("a", ledger)) as (server,):
        yield server


async def busy(front: Gateway) -> None:
    await until(lambda: "state=busy" in front.log, "it is found to be busy")


async def test_calls_wait_for_the_only_replica_while_it_is_busy(gateway: GatewayFactory, single: Replica) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(single.url, sections=sections()))
    async with mcp1_client(front.url) as one, mcp1_client(front.url) as other:
        assert "result" in await other.call("count")
        blocked = asyncio.create_task(one.call("block", seconds=BLOCKED))
        await busy(front)
        assert '"state": "busy"' in json.dumps(json.loads(front.get("/status.json")[1]))
        waits = asyncio.create_task(other.call("count"))
        async with mcp1_client(front.url) as late:
            assert "result" in await late.call("whoami")
        assert "result" in await blocked
        assert "2" in json.dumps((await waits)["result"])
    assert "state=hung" not in front.log
    assert "state=unhealthy" not in front.log


async def test_of_three_replicas_others_serve_and_no_session_moves(gateway: GatewayFactory, ledger: Path) -> None:
    servers = [sdk1_replica(name, ledger) for name in "abc"]
    async with aserving(*servers), AsyncExitStack() as stack:
        front = await asyncio.to_thread(gateway, pool_toml(*urls_of(servers), sections=sections()))
        clients = [await stack.enter_async_context(mcp1_client(front.url)) for _ in range(6)]
        homes = [(await client.call("whoami"))["result"] for client in clients]
        home = (await clients[0].call("whoami"))["result"]["structuredContent"]["name"]
        blocked = asyncio.create_task(clients[0].call("block", seconds=BLOCKED))
        await busy(front)
        async with AsyncExitStack() as new:
            comers = await asyncio.gather(*(new.enter_async_context(mcp1_client(front.url)) for _ in range(3)))
            for comer in comers:
                name = (await comer.call("whoami"))["result"]["structuredContent"]["name"]
                assert name != home or blocked.done(), "new clients go to others"
        assert "result" in await blocked
        assert homes == [(await client.call("whoami"))["result"] for client in clients]
    assert "session_moved" not in front.log
    assert "state=hung" not in front.log


async def test_a_session_leaves_a_replica_that_is_silent_for_too_long(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas), sections=sections("3s")))
    async with Client(front.url, mode="legacy") as client:
        home = (await client.call_tool("whoami", {})).structured_content
        assert home is not None
        stopped = next(replica for replica in replicas if replica.name == home["name"])
        stopped.pause()
        new = (await client.call_tool("whoami", {})).structured_content
        assert new is not None
        assert new["name"] != home["name"]
        stopped.resume()
    await until(lambda: "state=busy" in front.log and "state=hung" in front.log, "both are logged")


async def test_calls_wait_unsent_for_the_only_replica_while_it_is_silent(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], ledger: Path
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(replicas[0].url, sections=sections("500ms")))
    async with Client(front.url) as client:
        await client.call_tool("whoami", {})
        replicas[0].pause()
        calls = [asyncio.create_task(client.call_tool("write", {"key": "first"}))]
        await until(lambda: "state=hung" in front.log, "it is found to hang")
        calls += [asyncio.create_task(client.call_tool("write", {"key": f"late{n}"})) for n in range(3)]
        await until(
            lambda: front.metric('mcppool_pool_waiting_requests{pool="demo"}') == 3 or calls[-1].done(), "they wait"
        )
        assert not any(call.done() for call in calls)
        replicas[0].resume()
        assert not any(answer.is_error for answer in await asyncio.gather(*calls))
    assert sorted(line["key"] for line in executions(ledger, "write")) == ["first", "late0", "late1", "late2"]


@pytest.mark.parametrize("slow", [0.0, 1.5], ids=["not-listening", "slow-to-answer"])
async def test_clients_that_come_while_a_server_starts_are_held(gateway: GatewayFactory, slow: float) -> None:
    hello = {"protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}}
    initialize = {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello}
    server = FaultServer(delayed(slow) if slow else healthy, everything=True)
    front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections()))
    async with aiohttp.ClientSession() as client:

        async def ask(headers: dict[str, str], body: bytes) -> dict[str, object]:
            async with client.post(front.url, data=body, headers=headers) as response:
                answer: dict[str, object] = await response.json(content_type=None)
                return answer

        accept = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        asked = [
            asyncio.create_task(ask(accept, json.dumps(initialize).encode())),
            asyncio.create_task(ask(*modern_request("server/discover"))),
            asyncio.create_task(ask(*modern_call("read"))),
        ]
        await until(lambda: front.metric('mcppool_pool_waiting_requests{pool="demo"}') == 2, "they are held")
        async with server:
            for answer in await asyncio.gather(*asked):
                assert "result" in answer, answer


async def test_a_burst_over_one_replica_loses_no_call(gateway: GatewayFactory, replicas: tuple[Replica, ...]) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(replicas[0].url), profile="development")
    async with Client(front.url) as client:
        answers = await asyncio.gather(*(client.call_tool("slow", {"seconds": 0.8}) for _ in range(20)))
    assert not any(answer.is_error for answer in answers)
