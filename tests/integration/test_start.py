"""A gateway during its start."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_session import RawSession, call
from tests.servers import pool_toml
from tests.servers.faults import Exchange, FaultServer
from tests.servers.handshakes import Handshakes
from tests.waiting import until

# Half of a gateway's modules take longer than this to load.
SHORT = """
[pools.health_check]
timeout = "400ms"
[pools.connection_pool]
connection_timeout = "400ms"
health_check_interval = "1h"
"""


async def test_the_first_checks_of_servers_are_not_late_because_the_gateway_is_still_loading(
    gateway: GatewayFactory,
) -> None:
    async with FaultServer() as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SHORT))
        assert front.metric(f'mcppool_endpoint_available{{pool="demo",endpoint="{server.url}"}}') == 1
        assert "endpoint_state" not in front.log


@pytest.mark.parametrize("restarted", [False, True])
async def test_clients_wait_for_a_server_that_accepts_connections_and_has_not_answered_yet(
    gateway: GatewayFactory, restarted: bool
) -> None:
    awake = asyncio.Event()
    if restarted:
        awake.set()

    class Waking(Handshakes):
        async def __call__(self, exchange: Exchange) -> None:
            await awake.wait()
            await super().__call__(exchange)

    server = FaultServer(Waking(), everything=True)
    async with aiohttp.ClientSession() as http:
        session = RawSession(http)
        if restarted:
            await server.listen()
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        if restarted:
            await session.open(front)
            await server.refuse()
            await until(lambda: "state=unreachable" in front.log, "it is gone")
            awake.clear()
            before = len(server.requests)
        else:
            before = 0
        async with server:
            await until(lambda: len(server.requests) > before, "it is being asked")
            # longer than calls are held for unknown servers
            asyncio.get_running_loop().call_later(7.0, awake.set)
            await session.open(front)
            _, answer = await session.post(front, call("write"))
            assert "result" in answer
