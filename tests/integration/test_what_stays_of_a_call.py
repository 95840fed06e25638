"""Once a call is over nothing of it stays in memory: no ring of objects that only the garbage collector ends."""

from __future__ import annotations

import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from mcppool.discovery.static import FixedSource
from mcppool.gateway.gateway import Gateway
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.pipeline.call import Call
from mcppool.spec import loads_toml
from tests.servers import modern_call, pool_toml
from tests.servers.faults import Behaviour, FaultServer, close_without_answer
from tests.servers.handshakes import Handshakes
from tests.waiting import until

HELLO = {
    "jsonrpc": "2.0", "id": 1, "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25", "capabilities": {"x": "y" * 100_000},
        "clientInfo": {"name": "tests", "version": "1"},
    },
}  # fmt: skip
ACCEPT = {"accept": "application/json, text/event-stream"}


@asynccontextmanager
async def gateway_of(behaviour: Behaviour, *, everything: bool = True) -> AsyncIterator[str]:
    """A gateway in this process, and its URL."""
    async with FaultServer(behaviour, everything=everything) as server:
        process = '[listener]\nlisten = "127.0.0.1:0"\n[metrics]\nenabled = false\n'
        gateway = Gateway(FixedSource(loads_toml(f'profile = "test"\n{process}{pool_toml(server.url)}')))
        await gateway.start()
        try:
            yield f"http://127.0.0.1:{gateway.address[1]}/mcp"
        finally:
            await gateway.stop()


def alive() -> int:
    """Calls and requests that are in memory."""
    return sum(isinstance(each, Call | HttpRequest) for each in gc.get_objects())


@asynccontextmanager
async def nothing_left() -> AsyncIterator[None]:
    gc.collect()
    before = alive()
    gc.disable()
    try:
        yield
        await until(lambda: alive() <= before, "all calls are gone")
    finally:
        gc.enable()


@pytest.mark.parametrize("closes", [False, True], ids=["idle", "closed"])
async def test_nothing_of_an_answered_call_stays(closes: bool) -> None:
    async with gateway_of(Handshakes()) as url, aiohttp.ClientSession(headers=ACCEPT) as http, nothing_left():
        for _ in range(3):
            headers = {"connection": "close"} if closes else {}
            async with http.post(url, json=HELLO, headers=headers) as response:
                assert "mcp-session-id" in response.headers
                await response.read()


async def test_nothing_of_a_failed_call_stays() -> None:
    headers, body = modern_call("write", {"x": "y" * 100_000})
    async with (
        gateway_of(close_without_answer, everything=False) as url,
        aiohttp.ClientSession() as http,
        nothing_left(),
    ):
        for _ in range(3):
            async with http.post(url, data=body, headers=headers) as response:
                assert response.status >= 500
                await response.read()


async def test_a_call_leaves_nothing_behind_after_its_client_has_gone() -> None:
    async with gateway_of(Handshakes()) as url, nothing_left():
        for _ in range(3):
            async with aiohttp.ClientSession(headers=ACCEPT) as http, http.post(url, json=HELLO) as response:
                await response.read()
