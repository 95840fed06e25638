"""A replica that was killed and runs again is used at once where it is needed."""

from __future__ import annotations

import asyncio

from mcp import Client

from tests.conftest import GatewayFactory
from tests.servers import Replica, pool_toml, urls_of
from tests.waiting import until

PATIENT = """
[pools.connection_pool]
reconnect_backoff = "10m"
max_reconnect_backoff = "10m"
health_check_interval = "1h"
"""
"""With this a lost replica would be missed for minutes."""


async def test_replicas_that_are_needed_are_used_as_soon_as_they_run_again(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas), sections=PATIENT))
    async with Client(front.url) as client:
        await client.call_tool("whoami", {})
        for replica in replicas[:2]:
            replica.kill()
        for _ in range(6):
            await client.call_tool("whoami", {})
        await until(lambda: front.log.count("state=unreachable") == 2, "two of three are gone")
        replicas[0].start()
        available = f'mcppool_endpoint_available{{pool="demo",endpoint="{replicas[0].url}"}}'
        await until(lambda: front.metric(available) == 1, "it is back", limit=10)
        replicas[2].kill()
        assert not (await client.call_tool("whoami", {})).is_error
