"""A hung replica costs its waiting calls one suspicion; a slow tool ejects no replica.

Only suspicion checks a replica here: regular checks come once an hour.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from time import monotonic
from typing import Any

import pytest
from mcp import Client

from tests.conftest import GatewayFactory
from tests.servers import Gateway, Replica, executions, pool_toml, urls_of
from tests.waiting import until

SUSPECT_AFTER = 1.5
CHECK = 4.0  # more than a live replica takes for an answer on a busy machine
GRAIN = 0.2  # of the sweeps that see that a time is over
BUSY = 30.0  # seconds that a busy machine may take for the rest

SECTIONS = f"""
[pools.load_balancer]
strategy = "round_robin"
[pools.connection_pool]
health_check_interval = "1h"
reconnect_backoff = "200ms"
max_reconnect_backoff = "200ms"
[pools.health_check]
timeout = "{CHECK * 1000:.0f}ms"
[pools.outlier_detection]
suspect_after = "{SUSPECT_AFTER * 1000:.0f}ms"
hung_after = "0s"
"""


async def start(gateway: GatewayFactory, replicas: tuple[Replica, ...], sections: str = SECTIONS) -> Gateway:
    """A gateway that has found all replicas healthy: on a busy machine the first checks may come too late."""
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas), sections=sections))
    available = [f'mcppool_endpoint_available{{pool="demo",endpoint="{url}"}}' for url in urls_of(replicas)]
    await until(lambda: all(front.metric(sample) for sample in available), "all replicas are well")
    return front


async def took(client: Client, tool: str, **arguments: Any) -> float:
    """Seconds that a call took, which must be answered."""
    began = monotonic()
    answer = await client.call_tool(tool, arguments)
    assert not answer.is_error
    return monotonic() - began


def attempts(front: Gateway, replica: Replica) -> float:
    """Number of attempts that the gateway has sent to a replica."""
    return front.metric(f'mcppool_endpoint_requests_total{{pool="demo",endpoint="{replica.url}"}}')


def out(front: Gateway) -> int:
    """Number of ejections of a replica for failed calls."""
    return front.log.count("state=hung") + front.log.count("endpoint_ejected")


@pytest.mark.parametrize(("tool", "arguments"), [("whoami", {}), ("put", {"key": "k"})], ids=["safe", "idempotent"])
async def test_a_hung_replica_costs_one_call_one_suspicion_and_later_ones_nothing(
    tool: str, arguments: dict[str, Any], gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await start(gateway, replicas)
    async with Client(front.url) as client:
        for _ in range(6):
            await took(client, tool, **arguments)
        before = attempts(front, replicas[0])
        replicas[0].pause()
        times = [await took(client, tool, **arguments) for _ in range(30)]
        assert attempts(front, replicas[0]) - before == 1, "one call in a row of three goes there, and after it none"
        assert SUSPECT_AFTER <= max(times) < SUSPECT_AFTER + CHECK + 2 * GRAIN + BUSY
        assert out(front) == 1
        replicas[0].resume()
        await until(lambda: front.log.rfind("state=available") > front.log.rfind("state=hung"), "it is back")


async def test_calls_that_wait_at_a_hung_replica_at_once_move_on_together(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await start(gateway, replicas)
    async with Client(front.url) as client:
        await took(client, "whoami")
        before = attempts(front, replicas[0])
        replicas[0].pause()
        began = monotonic()
        await asyncio.gather(*(took(client, "whoami") for _ in range(12)))
        assert attempts(front, replicas[0]) - before == 4, "a third of them was there"
        assert monotonic() - began < SUSPECT_AFTER + CHECK + 2 * GRAIN + BUSY
        replicas[0].resume()


async def test_a_write_at_a_hung_replica_stays_there_and_is_executed_once(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], ledger: Path
) -> None:
    front = await start(gateway, replicas)
    async with Client(front.url) as client:
        await took(client, "whoami")
        replicas[0].pause()
        writes = [asyncio.create_task(took(client, "write", key=f"k{n}")) for n in range(3)]
        await until(lambda: "state=hung" in front.log, "the replica is found to hang")
        await until(lambda: sum(task.done() for task in writes) == 2, "the others have written elsewhere")
        replicas[0].resume()
        await asyncio.gather(*writes)
    assert sorted(line["key"] for line in executions(ledger, "write")) == ["k0", "k1", "k2"]


async def test_a_slow_tool_on_healthy_replicas_is_executed_once_per_call_and_ejects_none(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], ledger: Path
) -> None:
    front = await start(gateway, replicas)
    async with Client(front.url) as client:
        await asyncio.gather(*(took(client, "slow", seconds=SUSPECT_AFTER + CHECK + 0.5) for _ in range(9)))
    assert len(executions(ledger, "slow")) == 9
    assert out(front) == 0


async def test_a_tool_that_exceeds_its_timeout_ejects_no_replica(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    sections = f"{SECTIONS}[pools.tools.slow]\ntimeout = '700ms'\n"
    front = await start(gateway, replicas, sections)
    async with Client(front.url) as client:
        calls = (client.call_tool("slow", {"seconds": 30}) for _ in range(24))
        failures = await asyncio.gather(*calls, return_exceptions=True)
        assert all("time-outs of the pool" in str(failure) for failure in failures)
        assert out(front) == 0
        for _ in range(6):
            assert await took(client, "whoami") < BUSY


async def test_a_session_leaves_a_hung_replica_as_soon_as_that_is_suspected(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = await start(gateway, replicas, SECTIONS.replace('hung_after = "0s"', 'hung_after = "4m"'))
    async with AsyncExitStack() as stack:
        clients = [await stack.enter_async_context(Client(front.url, mode="legacy")) for _ in range(6)]
        homes = [await name_of(client) for client in clients]
        stopped = next(replica for replica in replicas if replica.name == homes[0])
        stopped.pause()
        moved = await asyncio.gather(*(name_of(client) for client in clients))
        assert stopped.name not in moved
        assert [new for new, old in zip(moved, homes, strict=True) if old != stopped.name] == [
            home for home in homes if home != stopped.name
        ], "the others stay where they are"
        assert out(front) == 1
        stopped.resume()


async def name_of(client: Client) -> str:
    """The replica where the client's session is."""
    answer = (await client.call_tool("whoami", {})).structured_content
    assert answer is not None
    return str(answer["name"])
