"""A gateway during its start."""

from __future__ import annotations

import asyncio
from pathlib import Path
from time import monotonic

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_session import RawSession, call
from tests.servers import pool_toml
from tests.servers.faults import Exchange, FaultServer
from tests.servers.handshakes import Handshakes
from tests.waiting import until

# Each module of the gateway takes this long to load here, so that half of them take longer than a check may.
SLOW_MODULES = """
import importlib.machinery, time

def exec_module(loader, module, load=importlib.machinery.SourceFileLoader.exec_module):
    if module.__name__.startswith("mcppool."):
        time.sleep(0.03)
    load(loader, module)

importlib.machinery.SourceFileLoader.exec_module = exec_module
"""
SHORT = """
[pools.health_check]
timeout = "3s"
[pools.connection_pool]
connection_timeout = "3s"
health_check_interval = "1h"
"""


async def test_the_first_checks_of_servers_are_not_late_because_the_gateway_is_still_loading(
    gateway: GatewayFactory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sitecustomize.py").write_text(SLOW_MODULES)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    began = monotonic()
    async with FaultServer() as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SHORT))
        assert monotonic() - began > 6, "half of it takes longer than a check may"
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
