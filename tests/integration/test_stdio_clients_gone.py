"""A session's process lives as long as its client is there, and not much longer."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_session import HEADERS
from tests.integration.stdio_helpers import Caller, odd, value_of
from tests.integration.test_stdio import runs
from tests.waiting import until

SHORT = '[pools.local]\nidle_timeout = "300ms"'
FORGETFUL = SHORT + '\n[pools.sessions]\nidle_timeout = "1s"'


async def opened(front: object, http: aiohttp.ClientSession) -> tuple[Caller, int]:
    caller = Caller(http, front, modern=False)  # type: ignore[arg-type]
    await caller.open()
    return caller, int(value_of(await caller.call("pid")))


async def test_the_process_of_a_client_that_has_gone_ends_and_its_session_is_over(
    gateway: GatewayFactory, http: aiohttp.ClientSession
) -> None:
    front = await asyncio.to_thread(gateway, odd(sections=SHORT))
    async with aiohttp.ClientSession() as own:
        caller, pid = await opened(front, own)
    await until(lambda: not runs(pid), "its process has ended")
    headers = {**HEADERS, "Mcp-Session-Id": caller.session, "MCP-Protocol-Version": "2025-11-25"}
    ping = {"jsonrpc": "2.0", "id": 5, "method": "ping"}
    for _ in range(2):
        async with http.post(front.url, json=ping, headers=headers) as response:
            assert response.status == 404, "it is not opened elsewhere behind the client's back"
    async with http.get(front.url, headers=headers) as response:
        assert response.status == 404


@pytest.mark.parametrize("how", ["connection", "stream", "call"])
async def test_the_process_of_a_client_that_is_there_stays(gateway: GatewayFactory, how: str) -> None:
    front = await asyncio.to_thread(gateway, odd(sections=FORGETFUL))
    stays = aiohttp.TCPConnector(keepalive_timeout=600)  # idle for as long as a busy machine takes for the rest
    async with aiohttp.ClientSession(connector=stays) as own:
        caller, pid = await opened(front, own)
        headers = {**HEADERS, "Mcp-Session-Id": caller.session, "MCP-Protocol-Version": "2025-11-25"}
        waiting: asyncio.Task[object] | None = None
        stream: aiohttp.ClientResponse | None = None
        if how == "stream":
            stream = await own.get(front.url, headers=headers)
            assert stream.status == 200
        elif how == "call":
            waiting = asyncio.ensure_future(caller.call("wait", seconds=4))
        gone = []
        for _ in range(3):  # each is forgotten after that time: a remaining one has been there for longer
            async with aiohttp.ClientSession() as leaving:
                gone.append((await opened(front, leaving))[1])
            await until(lambda: not runs(gone[-1]), "one who has gone")
        assert runs(pid)
        if waiting is not None:
            await waiting
        if stream is not None:
            stream.close()
        assert value_of(await caller.call("pid")) == pid
