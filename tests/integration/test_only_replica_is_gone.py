"""While the only replica hangs or is gone, calls learn which of the two it is, and GET streams do not end."""

from __future__ import annotations

import asyncio

import aiohttp

from tests.conftest import GatewayFactory
from tests.integration.raw_session import RawSession, call
from tests.servers import pool_toml
from tests.servers.faults import Exchange, FaultServer
from tests.servers.handshakes import Handshakes
from tests.waiting import until

SECTIONS = """[pools.timeouts]
request = "15s"
[pools.outlier_detection]
suspect_after = "300ms"
hung_after = "300ms"
[pools.health_check]
timeout = "500ms"
"""


async def open_stream(exchange: Exchange) -> None:
    await exchange.send(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n")
    while await exchange.reader.read(65536):
        pass
    exchange.close()


def get(http: aiohttp.ClientSession, url: str, session: RawSession) -> asyncio.Task[aiohttp.ClientResponse]:
    headers = {"Accept": "text/event-stream", "Mcp-Session-Id": session.id, "MCP-Protocol-Version": "2025-11-25"}

    async def opened() -> aiohttp.ClientResponse:
        return await http.get(url, headers=headers)

    return asyncio.create_task(opened())


async def test_while_the_only_replica_hangs_streams_are_held_and_calls_hear_of_it_in_the_end(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    going = asyncio.Event()
    going.set()
    legacy = Handshakes(stream=open_stream)

    async def behave(exchange: Exchange) -> None:
        await going.wait()
        await legacy(exchange)

    async with FaultServer(behave, everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        session = RawSession(http)
        await session.open(front)
        await until(lambda: any(seen.body and seen.body.get("method") == "ping" for seen in server.requests), "proven")
        going.clear()
        first = asyncio.create_task(session.post(front, call("write")))
        await until(lambda: "state=hung" in front.log, "it is found to hang")
        _, answer = await session.post(front, {**call("read"), "id": 2})
        assert answer["error"]["data"]["reason"] == "no_endpoint"
        assert "1 hung: it accepts connections and does not answer" in answer["error"]["message"]
        assert "127.0.0.1" not in answer["error"]["message"]
        await first
        stream = get(http, front.url, session)
        done, _ = await asyncio.wait({stream}, timeout=1.0)
        assert not done, "it is held"
        going.set()
        async with await stream as response:
            assert (response.status, response.content_type) == (200, "text/event-stream")


async def test_a_stream_without_a_server_gets_retry_after(gateway: GatewayFactory, http: aiohttp.ClientSession) -> None:
    async with FaultServer(Handshakes(), everything=True) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        session = RawSession(http)
        await session.open(front)
        await server.refuse()
        async with await get(http, front.url, session) as response:
            assert response.status == 503
            assert int(response.headers["Retry-After"]) >= 1
            assert response.headers["Cache-Control"] == "no-store"
