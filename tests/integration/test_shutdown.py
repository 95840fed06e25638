"""SIGTERM: nothing new, everything in flight finished, streams ended properly, status 0."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from pathlib import Path

import aiohttp
import pytest
from mcp import Client

from tests.conftest import GatewayFactory
from tests.servers import Gateway, Replica, modern_call, pool_toml, urls_of
from tests.servers.faults import FaultServer, gated, silent
from tests.waiting import until


def refuses(gateway: Gateway) -> bool:
    """Whether nothing listens on the gateway's port."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", gateway.port)) != 0


async def test_a_call_in_flight_is_finished_and_new_connections_are_refused(
    gateway: GatewayFactory,
) -> None:
    gate = asyncio.Event()
    async with FaultServer(gated(gate)) as server, aiohttp.ClientSession() as http:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        headers, body = modern_call("write", {})
        call = asyncio.create_task(http.post(front.url, data=body, headers=headers))
        await until(lambda: server.calls("write"), "the call runs")
        ending = asyncio.create_task(asyncio.to_thread(front.terminate))
        await until(lambda: refuses(front), "new connections are refused")
        assert not ending.done()
        gate.set()
        async with await call as response:
            assert response.status == 200
            assert (await response.json())["result"]["isError"] is False
        assert await ending == 0


async def test_a_stream_in_flight_gets_its_last_event(
    gateway: GatewayFactory, sse_replicas: tuple[Replica, ...], ledger: Path
) -> None:
    front = gateway(pool_toml(*urls_of(sse_replicas)))
    seen: list[float] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        seen.append(progress)

    async with Client(front.url) as client:
        await client.list_tools()  # so that the SDK does not ask for the tools after the call
        call = asyncio.create_task(client.call_tool("progress", {"n": 8, "pause": 0.2}, progress_callback=on_progress))
        await until(lambda: seen, "the first event came")
        ending = asyncio.create_task(asyncio.to_thread(front.terminate))
        assert (await call).structured_content == {"result": 8}
        assert seen == [1, 2, 3, 4, 5, 6, 7, 8]
        assert await ending == 0


async def test_idle_clients_do_not_hold_it(gateway: GatewayFactory, replicas: tuple[Replica, ...]) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    headers, body = modern_call("add", {"a": 1, "b": 1})
    async with aiohttp.ClientSession() as http:
        async with http.post(front.url, data=body, headers=headers) as response:
            await response.read()
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)  # has never said anything
        assert await asyncio.to_thread(front.terminate, 25) == 0, "the drain time, 30 s, is for calls"
        with contextlib.suppress(ConnectionError):
            assert await reader.read() == b""
        writer.close()


async def test_calls_that_exceed_the_drain_time_are_ended(gateway: GatewayFactory) -> None:
    async with FaultServer(silent) as server, aiohttp.ClientSession() as http:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections='[pools.timeouts]\ndrain = "500ms"'))
        headers, body = modern_call("write", {})
        call = asyncio.create_task(http.post(front.url, data=body, headers=headers))
        await until(lambda: server.calls("write"), "the call has arrived")
        assert await asyncio.to_thread(front.terminate) == 0
        async with await call as response:
            assert response.status == 503
            assert (await response.json())["error"]["data"]["delivered"] == "unknown"


async def test_a_client_that_goes_on_calling_loses_no_call(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    headers, body = modern_call("add", {"a": 1, "b": 1})
    async with aiohttp.ClientSession() as http:
        async with http.post(front.url, data=body, headers=headers) as response:
            await response.read()
        ending = asyncio.create_task(asyncio.to_thread(front.terminate))
        for _ in range(1000):  # on the same connection, until an answer says that it is the last
            async with http.post(front.url, data=body, headers=headers) as response:
                assert response.status == 200
                await response.read()
                if response.headers.get("connection") == "close":
                    break
            await asyncio.sleep(0.01)
        else:
            pytest.fail("no answer said that it is the last on its connection")
        assert await ending == 0
