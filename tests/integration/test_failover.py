"""Read-only calls do not notice a lost replica, and no call that changes something runs twice."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from mcp import Client

from tests.conftest import GatewayFactory
from tests.integration.load import reading
from tests.integration.raw_http import ask, tool_call
from tests.servers import Gateway, Replica, executions, modern_call, pool_toml, urls_of
from tests.servers.faults import Behaviour, FaultServer, cut_short, healthy, reset_after, reset_before, status
from tests.waiting import until

ROUND_ROBIN = '[pools.load_balancer]\nstrategy = "round_robin"\n'


async def test_a_killed_replica_does_not_fail_a_read_and_takes_calls_again_when_it_is_back(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    async with reading(front.url) as load:
        await until(lambda: min(load.answered[name] for name in "abc") >= 20, "all replicas take calls")
        replicas[1].kill()
        before = load.answered.total()
        await until(lambda: load.answered.total() >= before + 200, "calls go on without b")
        await replicas[1].restart()
        seen = load.answered["b"]
        await until(lambda: load.answered["b"] >= seen + 20, "b takes calls again")
    assert load.failed == []


async def test_replicas_killed_and_restarted_in_turn_do_not_fail_a_read(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    front = gateway(pool_toml(*urls_of(replicas)))
    async with reading(front.url) as load:
        for replica in replicas:
            replica.kill()
            await replica.restart()
            wanted = load.answered[replica.name] + 5
            await until(partial(load.has, replica.name, wanted), f"{replica.name} is back")
    assert load.failed == []


async def post(front: Gateway, tool: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
    """Status and body of one modern call."""
    headers, body = modern_call(tool, arguments)
    async with aiohttp.ClientSession() as http, http.post(front.url, data=body, headers=headers) as response:
        answer: dict[str, Any] = json.loads(await response.read())
        return response.status, answer


async def test_a_write_whose_server_refuses_connections_goes_to_another(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], ledger: Path
) -> None:
    front = gateway(pool_toml(*urls_of(replicas), sections=ROUND_ROBIN))
    replicas[0].kill()
    async with Client(front.url) as client:
        for n in range(12):
            await client.call_tool("write", {"key": f"k{n}"})
    written = Counter(line["key"] for line in executions(ledger, "write"))
    assert written == {f"k{n}": 1 for n in range(12)}


@pytest.mark.parametrize("fault", [reset_before, reset_after, cut_short], ids=lambda fault: fault.__name__)
async def test_a_read_whose_connection_broke_is_answered_by_another_server(
    gateway: GatewayFactory, fault: Behaviour
) -> None:
    async with FaultServer(fault, name="bad") as bad, FaultServer(healthy, name="good") as good:
        front = await asyncio.to_thread(gateway, pool_toml(bad.url, good.url, sections=ROUND_ROBIN))
        for _ in range(4):
            status, answer = await post(front, "read")
            assert answer["id"] == 1
            assert (status, answer["result"]["content"][0]["text"]) == (200, "good")
        assert bad.calls("read")


@pytest.mark.parametrize(
    ("fault", "delivered"), [(reset_before, "unknown"), (reset_after, "unknown"), (cut_short, "yes")]
)
async def test_a_write_whose_connection_broke_is_never_repeated_and_its_error_says_so(
    gateway: GatewayFactory, fault: Behaviour, delivered: str
) -> None:
    async with FaultServer(fault, name="bad") as bad:
        front = await asyncio.to_thread(gateway, pool_toml(bad.url))
        status, answer = await post(front, "write", key="k")
        assert len(bad.calls("write")) == 1
        assert status == 502
        assert answer["id"] == 1
        assert answer["error"]["code"] == -32603
        assert answer["error"]["data"]["delivered"] == delivered
        assert "127.0.0.1" not in json.dumps(answer), "addresses of endpoints are for the log"


async def test_without_failover_a_read_is_repeated_where_it_was_and_nowhere_else(gateway: GatewayFactory) -> None:
    sections = ROUND_ROBIN + "failover_enabled = false\n"
    for failing in (reset_after, status("429 Too Many Requests", retry_after="0")):
        async with FaultServer(script=[failing] * 2) as a, FaultServer(script=[failing] * 2) as b:
            front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, sections=sections))
            assert (await post(front, "read"))[0] == 200
            assert sorted((len(a.calls()), len(b.calls()))) == [0, 3]


async def test_a_repeated_read_has_a_new_id_upstream_and_its_own_downstream(gateway: GatewayFactory) -> None:
    async with FaultServer(reset_after, name="bad") as bad, FaultServer(healthy, name="good") as good:
        front = await asyncio.to_thread(gateway, pool_toml(bad.url, good.url, sections=ROUND_ROBIN))
        own = ["call 1", "call 2", "call 3", "call 4"]
        for id in own:
            assert (await ask(front, tool_call("read", request_id=id))).json["id"] == id
        assert {call.body["id"] for call in bad.calls("read")} <= set(own)
        repeated = [call for call in good.calls("read") if call.body["id"] not in own]
        assert len(repeated) == len(bad.calls("read")) > 0
        assert len({call.body["id"] for call in repeated}) == len(repeated)


async def test_with_no_server_left_a_call_gets_a_typed_error_at_once(gateway: GatewayFactory) -> None:
    async with FaultServer() as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        await server.refuse()
        status, answer = await asyncio.wait_for(post(front, "write"), 60)
        data = answer["error"]["data"]
        assert data["delivered"] == "no"
        assert (status, data["reason"]) in ((502, "connect_failed"), (503, "no_endpoint")), "met, or known already"
