"""Data from servers is held within `limits.memory`: whole answers, endless events, one answer for many."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path

import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_http import RawClient, ask, request, tool_call
from tests.servers import Gateway, modern_request, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy
from tests.waiting import until

MEMORY = 160
"""`limits.memory`, in MiB."""
OVERSHOOT = 96
"""MiB by which it may be exceeded for a moment."""
LARGE = 40 << 20
CALLS = 12
STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n"
JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"


def resident(front: Gateway) -> int:
    """MiB of the gateway's memory."""
    status = Path(f"/proc/{front.pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) >> 10


async def endless(exchange: Exchange, beginning: bytes) -> None:
    """`LARGE` bytes, and then nothing."""
    with contextlib.suppress(ConnectionError):
        await exchange.send(beginning)
        for _ in range(LARGE >> 16):
            await exchange.send(b"x" * (1 << 16))
        await exchange.reader.read()
    exchange.close()


async def a_list_without_an_end(exchange: Exchange) -> None:
    await endless(exchange, JSON + b'{"jsonrpc":"2.0","id":"x","result":{"prompts":[],"x":"')


async def an_event_without_an_end(exchange: Exchange) -> None:
    await endless(exchange, STREAM + b"data: ")


def to_prompts(behaviour: Behaviour) -> Behaviour:
    """Meets `prompts/list` and `prompts/get` only."""

    async def behave(exchange: Exchange) -> None:
        method = exchange.body.get("method", "") if isinstance(exchange.body, dict) else ""
        await (behaviour if method.startswith("prompts/") else healthy)(exchange)

    return behave


def prompts(method: str) -> bytes:
    headers, body = modern_request(method, {"name": "p"} if method == "prompts/get" else {})
    return request(body, headers)


@pytest.mark.parametrize(
    ("method", "behaviour"),
    [
        ("prompts/list", a_list_without_an_end),
        ("prompts/get", an_event_without_an_end),
        ("prompts/list", an_event_without_an_end),
    ],
)
async def test_large_answers_that_are_held_are_charged_and_refused_where_there_is_no_room(
    method: str, behaviour: Behaviour, gateway: GatewayFactory
) -> None:
    async with FaultServer(to_prompts(behaviour), everything=True) as server:
        front = await asyncio.to_thread(gateway, f'[limits]\nmemory = "{MEMORY}MiB"\n' + pool_toml(server.url))
        before = resident(front)
        largest = before
        calls = [asyncio.create_task(ask(front, prompts(method), f"127.0.0.{2 + n}")) for n in range(CALLS)]
        refused: list[int] = []
        try:
            while len(refused) < 2:
                done, _ = await asyncio.wait(calls, timeout=0.05, return_when=asyncio.FIRST_COMPLETED)
                refused = [task.result().status for task in done]
                largest = max(largest, resident(front))
            assert set(refused) == {503}
            assert largest < max(MEMORY, before) + OVERSHOOT
        finally:
            for task in calls:
                task.cancel()
            await asyncio.gather(*calls, return_exceptions=True)
        charged = 'mcppool_memory_charged_bytes{account="upstream"}'
        await until(lambda: front.metric(charged) == 0, "what was charged is given back")
        await until_served(front)
        assert "endpoint_ejected" not in front.log, "the server is not to blame"
        assert "defect" not in front.log


async def until_served(front: Gateway) -> None:
    async def served() -> bool:
        return (await ask(front, tool_call("read"))).status == 200

    for _ in range(600):
        if await served():
            return
        await asyncio.sleep(0.1)
    raise AssertionError(f"calls are refused for ever: {front.log[-3000:]}")


async def test_one_answer_for_many_that_wait_is_copied_only_while_there_is_room(gateway: GatewayFactory) -> None:
    door = asyncio.Event()
    size = 7 << 20  # larger answers are not kept

    async def at_the_server(exchange: Exchange) -> None:
        await door.wait()
        answer = exchange.answer()
        answer["result"]["content"] = [{"type": "text", "text": "x" * size}]
        exchange.execute()
        await exchange.respond(answer)

    async with FaultServer(at_the_server) as server:
        cache = '[pools.cache]\ntype = "memory"\n[pools.tools.read]\ncache_ttl = "1m"\n'
        front = await asyncio.to_thread(
            gateway, f'[limits]\nmemory = "{MEMORY}MiB"\n' + pool_toml(server.url, sections=cache)
        )
        before = resident(front)
        async with contextlib.AsyncExitStack() as stack:
            clients = [await stack.enter_async_context(RawClient(front, f"127.0.0.{2 + n}")) for n in range(60)]
            for client in clients:
                await client.send(tool_call("read"))
            await until(lambda: front.metric("mcppool_listener_connections") >= 60, "all are at the gateway")
            await until(lambda: len(server.calls()) >= 1, "one of them is made")
            door.set()
            statuses = [(await client.head())[0] for client in clients]
            assert set(statuses) == {200, 503}
            assert resident(front) < max(MEMORY, before) + OVERSHOOT
        assert len(server.calls()) == 1
        await until_served(front)


async def test_the_cache_gives_way_to_calls(gateway: GatewayFactory) -> None:
    async def at_the_server(exchange: Exchange) -> None:
        answer = exchange.answer()
        answer["result"]["content"] = [{"type": "text", "text": "x" * (1 << 20)}]
        exchange.execute()
        await exchange.respond(answer)

    async with FaultServer(at_the_server) as server:
        cache = '[pools.cache]\ntype = "memory"\nmax_bytes = "1GiB"\n[pools.tools.read]\ncache_ttl = "1h"\n'
        front = await asyncio.to_thread(
            gateway, f'[limits]\nmemory = "{MEMORY}MiB"\n' + pool_toml(server.url, sections=cache)
        )
        for n in range(250):  # more than there is memory for
            answer = await ask(front, tool_call("read", arguments={"n": n}))
            assert answer.status == 200, json.loads(answer.body)
            assert resident(front) < MEMORY + OVERSHOOT
        assert front.metric('mcppool_memory_charged_bytes{account="cache"}') > 1 << 20
        assert front.metric('mcp_cache_evictions_total{cache_type="memory",reason="memory"}') > 0
        large = tool_call("write", arguments={"text": "x" * (5 << 20)})
        assert (await ask(front, large)).status == 200
