"""A replica that was killed and runs again is used at once if it is needed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys

import pytest
from mcp import Client, MCPError

from tests.conftest import GatewayFactory
from tests.integration.test_stdio import SERVER, pool
from tests.servers import Replica, aserving, pool_toml, sdk2_replica, urls_of
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
        await until(lambda: front.metric(available) == 1, "it is back")
        replicas[2].kill()
        assert not (await client.call_tool("whoami", {})).is_error


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_only_replica_is_used_as_soon_as_it_runs_again(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], mode: str
) -> None:
    front = await asyncio.to_thread(gateway, pool_toml(replicas[0].url, sections=PATIENT))
    async with Client(front.url, mode=mode) as client:
        await client.call_tool("whoami", {})
        replicas[0].kill()
        with pytest.raises(MCPError, match="unreachable"):
            await client.call_tool("whoami", {})
        replicas[0].start()
        available = f'mcppool_endpoint_available{{pool="demo",endpoint="{replicas[0].url}"}}'
        await until(lambda: front.metric(available) == 1, "it is back")
        assert not (await client.call_tool("whoami", {})).is_error


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_calls_wait_for_the_only_program_while_it_is_started_again(gateway: GatewayFactory, mode: str) -> None:
    front = await asyncio.to_thread(gateway, pool(sys.executable, SERVER, replicas=1))
    async with Client(front.url, mode=mode) as client:
        found = (await client.call_tool("whoami", {})).structured_content
        assert found is not None
        os.kill(found["pid"], signal.SIGKILL)
        await until(lambda: "server_ended" in front.log or mode == "legacy", "its end is seen")
        again = (await client.call_tool("whoami", {})).structured_content
        assert again is not None
        assert again["pid"] != found["pid"]
    assert "reason=no_endpoint" not in front.log


SHORT = """
[pools.health_check]
timeout = "500ms"
[pools.connection_pool]
health_check_interval = "500ms"
"""
LAG = 1.2  # seconds: longer than a check may take


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_a_restarted_server_whose_every_answer_is_slow_is_used_again(gateway: GatewayFactory, mode: str) -> None:
    async with aserving(sdk2_replica("slow", lag=LAG)) as (server,):
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SHORT))
        async with Client(front.url, mode=mode) as client:
            assert not (await client.call_tool("whoami", {})).is_error
        server.kill()
        await until(lambda: "state=unreachable" in front.log, "it is gone")
        server.start()
        await until(lambda: front.log.rfind("state=available") > front.log.rfind("state=unreachable"), "it is back")
        async with Client(front.url, mode=mode) as client:
            for _ in range(3):
                assert not (await client.call_tool("whoami", {})).is_error
        back = front.log[front.log.rfind("state=unreachable") :]
        assert "state=unhealthy" not in back
        assert "state=hung" not in back
