"""What happens while a gateway starts."""

from __future__ import annotations

import asyncio

from tests.conftest import GatewayFactory
from tests.servers import pool_toml
from tests.servers.faults import FaultServer

# Half of what a gateway loads takes longer than this.
SHORT = """
[pools.health_check]
timeout = "250ms"
[pools.connection_pool]
connection_timeout = "250ms"
health_check_interval = "1h"
"""


async def test_the_first_checks_of_servers_are_not_late_because_the_gateway_is_still_loading(
    gateway: GatewayFactory,
) -> None:
    async with FaultServer() as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SHORT))
        assert front.metric(f'mcppool_endpoint_available{{pool="demo",endpoint="{server.url}"}}') == 1
        assert "endpoint_state" not in front.log
