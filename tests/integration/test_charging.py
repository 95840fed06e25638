"""Failures that one client causes are charged to that client: others are served as if it did not exist."""

from __future__ import annotations

import asyncio
import json
from time import monotonic
from typing import Any

import aiohttp
import pytest

from mcppool.policy.consecutive_failures import PERSISTENT
from tests.conftest import GatewayFactory
from tests.integration.raw_http import RawClient, ask, tool_call
from tests.integration.raw_session import RawSession, call
from tests.servers import Gateway, pool_toml
from tests.servers.fault_replica import FaultReplica
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy, not_json, reset_after, status, wrong_id
from tests.servers.process import free_port
from tests.waiting import until

SECTIONS = """
[pools.circuit_breaker]
failure_threshold = 3
open_duration = "1m"
[pools.outlier_detection]
consecutive_failures = 3
"""
FAULTS = {
    "HTTP 500": status("500 Internal Server Error", executes=True),
    "a reset": reset_after,
    "no JSON": not_json,
    "a wrong id": wrong_id,
}


def for_mallory(fault: Behaviour) -> Behaviour:
    """Does this to calls with the argument `bad`."""

    async def behave(exchange: Exchange) -> None:
        await (fault if exchange.body["params"]["arguments"].get("bad") else healthy)(exchange)

    return behave


def states(front: Gateway) -> list[str]:
    pool = json.loads(front.get("/status.json")[1])["pools"][0]
    return [endpoint["state"] for endpoint in pool["endpoints"]]


@pytest.mark.parametrize("tool", ["write", "read"])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_client_whose_calls_all_fail_does_not_affect_others(
    fault: str, tool: str, gateway: GatewayFactory
) -> None:
    async with FaultServer(for_mallory(FAULTS[fault])) as a, FaultServer(for_mallory(FAULTS[fault])) as b:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, sections=SECTIONS))
        async with RawClient(front) as mallory:
            began = monotonic()
            for n in range(20):
                await mallory.send(tool_call(tool, request_id=n, arguments={"bad": 1}))
                assert (await mallory.answer()).status in (502, 503)
                if n >= 6 and monotonic() - began > PERSISTENT / 2:
                    break  # a slow machine: after that time, failures count against the server
        assert states(front) == ["available"] * 2
        assert [(await ask(front, tool_call(tool, request_id=n))).status for n in range(6)] == [200] * 6


async def test_a_client_with_a_connection_for_each_failing_call_takes_nothing_from_others(
    gateway: GatewayFactory,
) -> None:
    fault = for_mallory(FAULTS["HTTP 500"])
    async with FaultServer(fault) as a, FaultServer(fault) as b:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, sections=SECTIONS))
        began = monotonic()
        for n in range(20):
            assert (await ask(front, tool_call("write", request_id=n, arguments={"bad": 1}))).status == 502
            if monotonic() - began > PERSISTENT / 2:
                break  # a slow machine: this is no burst any more
        assert (await ask(front, tool_call("write"))).status == 200
        assert states(front) == ["available"] * 2


async def test_a_session_whose_calls_all_fail_is_refused_alone(gateway: GatewayFactory, tmp_path: Any) -> None:
    async with FaultReplica("a", free_port(), tmp_path / "ledger.jsonl") as server, aiohttp.ClientSession() as http:
        server.behaviour = for_mallory(FAULTS["HTTP 500"])
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        mallory, alice = RawSession(http), RawSession(http)
        await mallory.open(front)
        await alice.open(front)
        bad = [(await mallory.post(front, call("write", bad=1)))[1]["error"]["data"]["reason"] for _ in range(6)]
        assert bad == ["upstream_error"] * 3 + ["circuit_open"] * 3
        assert all(["result" in (await alice.post(front, call("write")))[1] for _ in range(3)])


async def test_a_tool_that_fails_for_a_second_client_is_closed_to_all(gateway: GatewayFactory) -> None:
    async with FaultServer(FAULTS["HTTP 500"]) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        async with RawClient(front) as mallory:
            for n in range(4):
                await mallory.send(tool_call("write", request_id=n))
                reason = (await mallory.answer()).error["data"]["reason"]
                assert reason == ("upstream_error" if n < 3 else "circuit_open")
        ask_from = "127.0.0.2"
        reasons = [(await ask(front, tool_call("write"), ask_from)).error["data"]["reason"] for _ in range(3)]
        assert reasons == ["upstream_error", "circuit_open", "circuit_open"]


async def test_a_replica_that_fails_calls_which_another_answers_is_ejected_even_with_one_client(
    gateway: GatewayFactory,
) -> None:
    async with FaultServer(FAULTS["HTTP 500"]) as bad, FaultServer() as good:
        front = await asyncio.to_thread(gateway, pool_toml(bad.url, good.url, sections=SECTIONS))
        async with RawClient(front) as client:
            for n in range(40):
                await client.send(tool_call("read", request_id=n))
                assert (await client.answer()).status == 200
        assert states(front) == ["ejected", "available"]


async def test_a_failing_tool_opens_its_breaker_once_and_not_with_each_call_that_is_let_through(
    gateway: GatewayFactory,
) -> None:
    async with FaultServer(FAULTS["HTTP 500"]) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        for n in range(30):
            await ask(front, tool_call("read", request_id=n), f"127.0.0.{2 + n % 3}")
        assert front.log.count(" breaker pool=demo") == 1
        server.behaviour = healthy
        assert [(await ask(front, tool_call("read"))).status for _ in range(3)] == [200] * 3
        await until(lambda: "now=closed" in front.log, "what was let through and answered closes it before its time")


@pytest.mark.parametrize("tool", ["read", "write"])
async def test_clients_that_leave_with_a_call_under_way_count_for_nothing(tool: str, gateway: GatewayFactory) -> None:
    async def slow_for_mallory(exchange: Exchange) -> None:
        if exchange.body["params"]["arguments"].get("bad"):
            await exchange.reader.read(1)
            exchange.close()
        else:
            await healthy(exchange)

    async with FaultServer(slow_for_mallory) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        for n in range(8):
            async with RawClient(front) as mallory:
                await mallory.send(tool_call(tool, request_id=n, arguments={"bad": 1}))
                await until(lambda n=n: len(server.calls()) == n + 1, "its call is there")  # type: ignore[misc]
        assert [(await ask(front, tool_call(tool))).status for _ in range(3)] == [200] * 3
        assert "now=open" not in front.log
        assert states(front) == ["available"]


async def test_no_server_hears_where_a_client_is(gateway: GatewayFactory, tmp_path: Any) -> None:
    heard: list[dict[str, str]] = []

    class Listens(FaultReplica):
        def note_request(self, exchange: Exchange) -> None:
            heard.append(exchange.headers)
            super().note_request(exchange)

    async with Listens("a", free_port(), tmp_path / "ledger.jsonl") as server, aiohttp.ClientSession() as http:
        front = await asyncio.to_thread(gateway, pool_toml(server.url))
        session = RawSession(http)
        await session.open(front)
        await session.post(front, call("write"))
        assert heard
        assert not [headers for headers in heard if "mcppool-client" in headers]
