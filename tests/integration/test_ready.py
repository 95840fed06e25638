"""`mcppool serve` and `/readyz` report whether a server has answered, and the reason if none has."""

from __future__ import annotations

import asyncio
import json

from tests.conftest import GatewayFactory
from tests.servers import pool_toml
from tests.servers.faults import FaultServer
from tests.waiting import until


async def test_the_start_and_readyz_say_whether_a_server_has_answered(gateway: GatewayFactory) -> None:
    server = FaultServer(everything=True)
    front = await asyncio.to_thread(gateway, pool_toml(server.url))
    missing = f"no server has answered yet: {server.url} is unreachable"
    assert json.loads(front.get("/readyz")[1])["servers"]["demo"].startswith(missing)
    await until(lambda: f"demo: {missing}" in front.log, "the start says so")
    async with server:
        await until(lambda: "demo: 1 of 1 server answers" in front.log, "and that it has answered")
        assert json.loads(front.get("/readyz")[1])["servers"] == {"demo": "1 of 1 server answers"}
