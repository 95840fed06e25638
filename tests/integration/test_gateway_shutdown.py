"""The end of the gateway as each kind of connection sees it: idle, half a request, a stream, a session, a listener."""

from __future__ import annotations

import asyncio
import json
import signal
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_http import RawClient, request, tool_call
from tests.servers import Gateway, ServerProcess, aserving, modern_request, pool_toml, sdk2_replica
from tests.servers.faults import Exchange, FaultServer, gated, reset_after, silent
from tests.waiting import until

DRAIN_SOON = '[pools.timeouts]\ndrain = "500ms"'
STREAM_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
NOTICE = b'data: {"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"x"}}\n\n'


async def endless_stream(exchange: Exchange) -> None:
    """Executes, sends a notification and then nothing."""
    exchange.execute()
    await exchange.send(STREAM_HEAD + b"%x\r\n%b\r\n" % (len(NOTICE), NOTICE))
    await silent(exchange)


def legacy_call(tool: str) -> bytes:
    body = {"jsonrpc": "2.0", "id": "mine", "method": "tools/call", "params": {"name": tool, "arguments": {}}}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": "2025-11-25",
    }
    return request(json.dumps(body).encode(), headers)


def modern(tool: str) -> bytes:
    return tool_call(tool, request_id="mine")


def data_of(event: bytes) -> Any:
    (line,) = (line for line in event.split(b"\n") if line.startswith(b"data: "))
    return json.loads(line.removeprefix(b"data: "))


@pytest.mark.parametrize("call", [modern, legacy_call], ids=["modern", "legacy"])
async def test_a_stream_that_outlasts_the_drain_time_ends_with_an_error_of_its_own(
    gateway: GatewayFactory, call: Callable[[str], bytes]
) -> None:
    async with FaultServer(endless_stream) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=DRAIN_SOON))
        async with RawClient(front) as client:
            await client.send(call("write"))
            assert (await client.head())[0] == 200
            assert await client.chunk() == NOTICE
            ending = asyncio.create_task(asyncio.to_thread(front.terminate))
            last = data_of(await client.chunk())
            assert (last["id"], last["error"]["code"]) == ("mine", -32603)
            data = last["error"]["data"]
            assert (data["reason"], data["delivered"], data["attempts"]) == ("shutting_down", "yes", 1)
            assert await client.chunk() == b"", "and the chunks end cleanly"
            assert await client.ended()
        assert await ending == 0


@pytest.mark.parametrize(("call", "status"), [(modern, 503), (legacy_call, 200)], ids=["modern", "legacy"])
async def test_a_call_that_outlasts_the_drain_time_is_answered_with_an_error(
    gateway: GatewayFactory, call: Callable[[str], bytes], status: int
) -> None:
    async with FaultServer(silent) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=DRAIN_SOON))
        async with RawClient(front) as client:
            await client.send(call("write"))
            await until(lambda: server.calls("write"), "the call has arrived")
            ending = asyncio.create_task(asyncio.to_thread(front.terminate))
            answer = await client.answer()
            assert (answer.status, answer.json["id"]) == (status, "mine")
            data = answer.error["data"]
            assert (data["reason"], data["delivered"], data["attempts"]) == ("shutting_down", "unknown", 1)
            assert answer.headers["connection"] == "close"
        assert await ending == 0


async def test_the_final_reply_gives_the_delivery_of_the_call(gateway: GatewayFactory) -> None:
    sections = DRAIN_SOON + '\n[pools.connection_pool]\nmax_connections = 1\nacquire_timeout = "30s"'
    async with FaultServer(silent, script=[reset_after]) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        async with RawClient(front) as repeated, RawClient(front) as waiting:
            await repeated.send(tool_call("read"))
            await until(lambda: len(server.calls("read")) == 2, "the second attempt has arrived")
            await waiting.send(tool_call("write"))
            await until(lambda: front.metric('mcppool_pool_waiting_requests{pool="demo"}') == 1, "it waits")
            ending = asyncio.create_task(asyncio.to_thread(front.terminate))
            said = [(await client.answer()).error["data"] for client in (repeated, waiting)]
            assert [(data["delivered"], data["attempts"]) for data in said] == [("unknown", 2), ("no", 1)]
        assert await ending == 0
        assert not server.calls("write")


async def test_idle_connections_are_closed_and_others_serve_one_more_call(
    gateway: GatewayFactory,
) -> None:
    gate = asyncio.Event()
    async with FaultServer(gated(gate)) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        async with RawClient(front) as idle, RawClient(front) as half, RawClient(front) as busy:
            await busy.send(tool_call("write") + tool_call("read"))
            await until(lambda: server.calls("write"), "the call has arrived")
            whole = tool_call("read")
            await half.send(whole[:-10])
            ending = asyncio.create_task(asyncio.to_thread(front.terminate))
            assert await idle.ended()
            gate.set()
            await half.send(whole[-10:])
            served = await half.answer()
            assert (served.status, served.headers["connection"]) == (200, "close")
            assert await half.ended()
            first, second = await busy.answer(), await busy.answer()
            assert "connection" not in first.headers
            assert (second.status, second.headers["connection"]) == (200, "close")
        assert await ending == 0


async def test_a_subscription_ends_at_once_and_delays_no_shutdown(gateway: GatewayFactory, ledger: Path) -> None:
    async with aserving(sdk2_replica("a", ledger)) as (replica,):
        front = await asyncio.to_thread(gateway, pool_toml(replica.url))
        headers, body = modern_request(
            "subscriptions/listen", {"notifications": {"toolsListChanged": True}}, request_id="mine"
        )
        async with RawClient(front) as client:
            await client.send(request(body, headers))
            assert (await client.head())[0] == 200
            assert data_of(await client.chunk())["method"] == "notifications/subscriptions/acknowledged"
            began = monotonic()
            ending = asyncio.create_task(asyncio.to_thread(front.terminate))
            last = data_of(await client.chunk())
            assert last["id"] == "mine"
            assert last["result"]["resultType"] == "complete"
            assert last["result"]["_meta"] == {"io.modelcontextprotocol/subscriptionId": "mine"}
            assert await client.chunk() == b""
            assert await client.ended()
        assert await ending == 0
        assert monotonic() - began < 25, "the drain time, 30 s, is for calls that finish by themselves"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
async def test_a_second_signal_ends_it_at_once(tmp_path: Path, number: signal.Signals) -> None:
    async with FaultServer(silent) as server:
        front = Gateway(tmp_path, pool_toml(server.url))
        try:
            await asyncio.to_thread(front.launch)
            await asyncio.to_thread(front.wait_ready)
            async with RawClient(front) as client:
                await client.send(tool_call("write"))
                await until(lambda: server.calls("write"), "the call has arrived")
                front.signal(number)
                await until(lambda: "draining" in front.log, "it drains")
                assert front.alive
                front.signal(number)
                await until(lambda: not front.alive, "it has ended")
        finally:
            ServerProcess.close(front)
