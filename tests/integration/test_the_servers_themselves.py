"""The real servers behave, without a gateway, as the other tests take for granted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from mcp import Client

from tests.servers import (
    Replica,
    ServerProcess,
    aserving,
    everything_server,
    executions,
    mcp1_client,
    npm_everything_server,
    sdk1_replica,
    sdk2_replica,
)


async def test_a_replica_counts_its_executions_in_a_file_that_outlives_it(ledger: Path) -> None:
    async with aserving(sdk2_replica("a", ledger, json_response=True)) as (server,):
        async with Client(server.url) as client:
            assert client.protocol_version == "2026-07-28"
            await client.call_tool("add", {"a": 2, "b": 3})
            await client.call_tool("write", {"key": "k"})
        server.kill()
        assert [(line["tool"], line["name"]) for line in executions(ledger)] == [("add", "a"), ("write", "a")]


async def test_a_killed_replica_comes_back_on_its_port(ledger: Path) -> None:
    async with aserving(sdk2_replica("a", ledger)) as (server,):
        first, url = server.pid, server.url
        server.kill()
        assert not server.answers()
        await server.restart()
        assert (server.url, server.alive) == (url, True)
        assert server.pid != first


async def test_a_paused_replica_accepts_and_does_not_answer_until_it_is_resumed(ledger: Path) -> None:
    async with aserving(sdk2_replica("a", ledger, json_response=True)) as (server,), Client(server.url) as client:
        server.pause()
        call = asyncio.create_task(client.call_tool("whoami", {}))
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)  # the kernel accepts
        writer.close()
        assert not call.done()
        server.resume()
        assert (await call).structured_content == {"name": "a", "pid": server.pid}
        del reader


async def test_progress_comes_as_an_event_stream(ledger: Path) -> None:
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with aserving(sdk2_replica("a", ledger)) as (server,), Client(server.url) as client:
        await client.call_tool("progress", {"n": 3}, progress_callback=on_progress)
    assert seen == [1, 2, 3]


@pytest.mark.parametrize("make", [everything_server, npm_everything_server], ids=["python", "npm"])
async def test_an_everything_server_lists_its_tools(make: Callable[[str], ServerProcess]) -> None:
    server = make("everything")
    async with aserving(server), Client(server.url) as client:
        assert len((await client.list_tools()).tools) > 5


@pytest.mark.parametrize("stateless", [False, True])
async def test_the_old_client_opens_a_session_where_the_old_server_keeps_one(ledger: Path, stateless: bool) -> None:
    server: Replica = sdk1_replica("a", ledger, stateless=stateless)
    async with aserving(server), mcp1_client(server.url) as client:
        assert client.hello["protocol"] == "2025-11-25"
        assert (client.hello["session"] is None) is stateless
        assert "whoami" in await client.list_tools()
        answer = await client.call("progress", n=2)
        assert answer["progress"] == [1, 2]
