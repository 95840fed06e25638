"""Comments keep silent streams and long calls alive, whatever the call waits for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.event_streams import begin, event, getting, message_of, send
from tests.integration.raw_http import RawClient, request, tool_call
from tests.integration.raw_session import HEADERS, HELLO, RawSession, call
from tests.servers import Gateway, everything_server, modern_request, pool_toml, serving
from tests.servers.faults import Behaviour, Exchange, FaultServer, gated, healthy, reset_after, silent
from tests.servers.handshakes import Handshakes
from tests.waiting import until

SHORT = '[pools.timeouts]\nkeep_alive = "200ms"\n'
COMMENT = b": keep-alive\n\n"


async def opened(client: RawClient) -> None:
    """The call's stream is opened, and a comment comes."""
    status, headers = await client.head()
    assert (status, headers["content-type"]) == (200, "text/event-stream")
    assert await client.chunk() == COMMENT


async def last_message(client: RawClient) -> Any:
    """The message with which the stream ends."""
    said = b""
    while chunk := await client.chunk():
        if chunk != COMMENT:
            said += chunk
    return message_of(said)


def large(exchange: Exchange) -> Any:
    return exchange.respond({**exchange.answer(), "padding": "x" * 300_000})


ANSWERS: dict[str, Behaviour] = {"json": healthy, "large json": large, "failure": reset_after}


@pytest.mark.parametrize("how", ANSWERS)
async def test_a_long_call_has_its_stream_opened_and_whatever_becomes_of_it_comes_as_an_event(
    how: str, gateway: GatewayFactory
) -> None:
    gate = asyncio.Event()
    async with FaultServer(gated(gate, ANSWERS[how])) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SHORT))
        async with RawClient(front) as client:
            await client.send(tool_call("write", request_id="mine"))
            await opened(client)
            assert await client.chunk() == COMMENT, "and another"
            gate.set()
            answer = await last_message(client)
            assert answer["id"] == "mine"
            if how == "failure":
                assert answer["error"]["data"]["reason"] == "connection_lost"
            else:
                assert "result" in answer
            await client.send(tool_call("write", request_id=2))
            if how != "failure":
                assert (await client.answer()).status == 200, "the connection goes on"


async def test_attempts_move_behind_a_stream_that_is_open(gateway: GatewayFactory) -> None:
    gates = [asyncio.Event(), asyncio.Event()]
    script = [gated(gates[0], reset_after), gated(gates[1], healthy)]
    async with FaultServer(script=script) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SHORT))
        async with RawClient(front) as client:
            await client.send(tool_call("read", request_id="mine"))
            await opened(client)
            gates[0].set()
            await until(lambda: len(server.calls("read")) == 2, "the second attempt")
            gates[1].set()
            answer = await last_message(client)
            assert (answer["id"], "result" in answer) == ("mine", True)


WAITS = {
    "for a connection": "[pools.connection_pool]\nmax_connections = 1\nacquire_timeout = \"40s\"\n",
    "in the queue of a limit": "[pools.connection_pool]\nacquire_timeout = \"40s\"\n"
    "[pools.limits.pool]\nmax_concurrent = 1\nmax_queue = 10\n",
    "for an equal call": '[pools.cache]\ntype = "memory"\n[pools.tools.read]\ncache_ttl = "1m"\n',
}  # fmt: skip


@pytest.mark.parametrize("what", WAITS)
async def test_a_call_that_waits_before_it_is_sent_is_kept_alive_too(what: str, gateway: GatewayFactory) -> None:
    gate = asyncio.Event()
    async with FaultServer(gated(gate)) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SHORT + WAITS[what]))
        async with RawClient(front) as first, RawClient(front) as second:
            await first.send(tool_call("read"))
            await until(lambda: server.calls("read"), "the first is at the server")
            await second.send(tool_call("read", request_id="mine"))
            await opened(second)
            assert len(server.calls("read")) == 1, "the second waits"
            gate.set()
            answer = await last_message(second)
            assert (answer["id"], "result" in answer) == ("mine", True)


@asynccontextmanager
async def listening(front: Gateway) -> AsyncIterator[RawClient]:
    """A client with an acknowledged subscription."""
    headers, body = modern_request("subscriptions/listen", {"notifications": {"toolsListChanged": True}})
    async with RawClient(front) as client:
        await client.send(request(body, headers))
        assert (await client.head())[0] == 200
        assert b"acknowledged" in await client.chunk()
        yield client


async def test_a_silent_listen_stream_gets_comments(gateway: GatewayFactory) -> None:
    with serving(everything_server("a")) as (server,):
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SHORT))
        async with listening(front) as client:
            assert [await client.chunk() for _ in range(2)] == [COMMENT, COMMENT]


async def test_a_silent_get_stream_gets_comments_but_never_within_an_event(gateway: GatewayFactory) -> None:
    halves = asyncio.Event()

    async def stream(exchange: Exchange) -> None:
        await begin(exchange)
        whole = event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": 1}})
        await send(exchange, whole[:20])
        await halves.wait()
        await send(exchange, whole[20:])
        await silent(exchange)

    async with FaultServer(Handshakes(stream=stream), everything=True) as server, aiohttp.ClientSession() as http:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SHORT))
        session = RawSession(http)
        await session.open(front)
        async with getting(http, front, session) as blocks:
            assert await blocks.next() == b": keep-alive"
            halves.set()
            while (block := await blocks.next()) == b": keep-alive":
                pass
            assert message_of(block)["params"]["data"] == 1
            assert await blocks.next() == b": keep-alive"


@asynccontextmanager
async def beside(
    gateway: GatewayFactory, server: FaultServer, sections: str, pace: str = SHORT
) -> AsyncIterator[Gateway]:
    """A gateway for `server`, and a second pool with an endless call: `three_comments` waits by it, at its own pace."""
    async with FaultServer(silent) as other:
        pools = pool_toml(server.url, sections=sections) + pool_toml(other.url, name="other", sections=pace)
        yield await asyncio.to_thread(gateway, pools)


async def three_comments(front: Gateway) -> None:
    """As long as another call needs to get three comments."""
    async with RawClient(front) as client:
        await client.send(tool_call("write").replace(b"POST /mcp ", b"POST /other/mcp "))
        await opened(client)
        assert [await client.chunk() for _ in range(2)] == [COMMENT, COMMENT]


def post(message: Any, headers: dict[str, str]) -> bytes:
    return request(json.dumps(message).encode(), headers, path="/demo/mcp")


async def test_initialize_is_answered_with_its_session_however_long_it_takes(gateway: GatewayFactory) -> None:
    gate = asyncio.Event()
    handshakes = Handshakes()

    async def slow(exchange: Exchange) -> None:
        if exchange.body and exchange.body.get("params", {}).get("clientInfo", {}).get("name") == "mcppool-tests":
            await gate.wait()
        await handshakes(exchange)

    async with (
        FaultServer(slow, everything=True) as server,
        beside(gateway, server, SHORT) as front,
        RawClient(front) as client,
    ):
        await client.send(post(HELLO, HEADERS))
        await three_comments(front)
        gate.set()
        answer = await client.answer()
        assert (answer.status, "mcp-session-id" in answer.headers) == (200, True)


OFF = {"off": '[pools.timeouts]\nkeep_alive = "0s"\n', "json only": SHORT}


@pytest.mark.parametrize("why", OFF)
async def test_without_keep_alive_or_a_client_that_accepts_events_the_answer_is_unchanged(
    why: str, gateway: GatewayFactory
) -> None:
    gate = asyncio.Event()
    async with (
        FaultServer(gated(gate)) as server,
        beside(gateway, server, OFF[why]) as front,
        RawClient(front) as client,
    ):
        accepts = {"Accept": "application/json"} if why == "json only" else {}
        await client.send(post(call("write"), {**HEADERS, **accepts}))
        await until(lambda: server.calls("write"), "the call is at the server")
        await three_comments(front)
        gate.set()
        answer = await client.answer()
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")


async def test_a_client_that_reads_nothing_gets_no_comments_on_top(gateway: GatewayFactory) -> None:
    async def flood(exchange: Exchange) -> None:
        await begin(exchange)
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {"level": "info", "data": "x" * 60_000}}
        for _ in range(400):
            await send(exchange, event(note))
        await send(exchange, event(exchange.answer()))
        await exchange.send(b"0\r\n\r\n")

    # In a second without an event a comment would be right: while the client reads, a slow machine makes such pauses.
    slow = SHORT.replace("200ms", "1s")
    async with (
        FaultServer(flood) as server,
        beside(gateway, server, slow, slow) as front,
        RawClient(front) as client,
    ):
        await client.send(tool_call("write").replace(b"POST /mcp ", b"POST /demo/mcp "))
        await client.head()
        await three_comments(front)
        said = b""
        while chunk := await client.chunk():
            said += chunk
    blocks = said.split(b"\n\n")
    assert all(block in (b"", b": keep-alive") or message_of(block) for block in blocks), "no comment within an event"
    assert sum(block == b": keep-alive" for block in blocks) <= 2
