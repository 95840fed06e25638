"""The circuit breaker of a tool, from the outside: the results of calls, and the founding document's metrics."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_http import Answer, ask, tool_call
from tests.integration.raw_session import RawSession, call
from tests.servers import Gateway, pool_toml
from tests.servers.fault_replica import FaultReplica
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy, silent, status
from tests.servers.process import free_port
from tests.waiting import until
from tests.written_lines import written_json

CLOSED, HALF_OPEN, OPEN = 0, 1, 2
FAILS = status("500 Internal Server Error", executes=True)

OPEN_DURATION = 6  # seconds: what a test looks at while the breaker is open must come sooner on any machine
SECTIONS = f"""
[pools.circuit_breaker]
failure_threshold = 3
open_duration = "{OPEN_DURATION}s"
success_threshold = 2
[pools.outlier_detection]
consecutive_failures = 1000
[pools.retry_policy]
max_attempts = 1
[pools.tools.write]
timeout = "30s"
"""
LONG_OPEN = SECTIONS.replace(f'"{OPEN_DURATION}s"', '"1m"')


def state(front: Gateway, tool: str = "write") -> float:
    return front.metric(f'mcp_circuit_breaker_state{{server_id="demo",tool_name="{tool}"}}')


def transitions(front: Gateway, tool: str = "write") -> dict[tuple[str, str], float]:
    samples = [(name, dict(labels), count) for (name, labels), count in front.metrics().items()]
    return {
        (labels["from"], labels["to"]): count
        for name, labels, count in samples
        if name == "mcp_circuit_breaker_transitions_total" and labels["tool_name"] == tool and count
    }


ADDRESSES = itertools.cycle(["127.0.0.2", "127.0.0.3", "127.0.0.4"])


async def write(front: Gateway) -> Answer:
    """A call of one of three clients."""
    return await ask(front, tool_call("write"), next(ADDRESSES))


def refused(answer: Answer) -> bool:
    """Whether the breaker refused the call, unsent, and gave a time to wait."""
    if answer.status == 200 or answer.error["data"]["reason"] != "circuit_open":
        return False
    data = answer.error["data"]
    assert (answer.status, data["delivered"], data["attempts"]) == (503, "no", 0)
    assert 0 <= data["retryAfterMs"] <= OPEN_DURATION * 1000
    assert "retry-after" in answer.headers
    return True


async def next_trial(front: Gateway) -> Answer:
    """The next call that the breaker lets through."""
    async with asyncio.timeout(60):
        while refused(answer := await write(front)):
            await asyncio.sleep(0.01)
    return answer


async def test_its_states_and_transitions_are_in_the_founding_documents_metrics(gateway: GatewayFactory) -> None:
    async with FaultServer(FAILS) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        for n in range(3):
            assert state(front) == CLOSED
            assert (await write(front)).error["data"]["reason"] == "upstream_error"
            closed = 'mcp_circuit_breaker_state{server_id="demo",tool_name="write"} 0'
            assert (closed in front.get("/metrics")[1]) == (n < 2), (
                "a tool that was called has a breaker that is closed"
            )
        assert state(front) == OPEN
        assert transitions(front) == {("closed", "open"): 1}
        assert refused(await write(front))
        assert len(server.calls("write")) == 3

        assert (await next_trial(front)).status == 502, "one call tries, and it fails"
        assert len(server.calls("write")) == 4
        assert state(front) == OPEN
        assert transitions(front) == {("closed", "open"): 1, ("open", "half_open"): 1, ("half_open", "open"): 1}

        server.behaviour = healthy
        assert (await next_trial(front)).status == 200
        assert state(front) == HALF_OPEN
        assert (await write(front)).status == 200
        assert state(front) == CLOSED
        assert transitions(front) == {
            ("closed", "open"): 1, ("open", "half_open"): 2, ("half_open", "open"): 1, ("half_open", "closed"): 1,
        }  # fmt: skip
        assert (state(front, "read"), transitions(front, "read")) == (CLOSED, {})
        assert front.log.count(" breaker pool=demo") == 5, "each transition is one line of the log"


async def test_half_open_it_lets_one_call_through_at_a_time(gateway: GatewayFactory) -> None:
    door = asyncio.Event()

    async def held(exchange: Exchange) -> None:
        await door.wait()
        await healthy(exchange)

    async with FaultServer(FAILS) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=SECTIONS))
        for _ in range(3):
            await write(front)
        server.behaviour = held
        trial = asyncio.create_task(next_trial(front))
        await until(lambda: len(server.calls("write")) == 4, "the trial is at the server")
        assert all([refused(await write(front)) for _ in range(5)])
        door.set()
        assert (await trial).status == 200
        assert len(server.calls("write")) == 4


def error(code: int) -> Behaviour:
    """Answers with a JSON-RPC error."""

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        body = {"jsonrpc": "2.0", "id": exchange.body["id"], "error": {"code": code, "message": "no"}}
        await exchange.respond(body)

    return behave


async def tool_error(exchange: Exchange) -> None:
    """Answers with a result of a tool that failed."""
    exchange.execute()
    answer = exchange.answer()
    answer["result"]["isError"] = True
    await exchange.respond(answer)


WHAT_COUNTS: dict[str, tuple[Behaviour, bool]] = {
    "HTTP 500": (FAILS, True),
    "a time-out": (silent, True),
    "-32603": (error(-32603), False),
    "-32602": (error(-32602), False),
    "isError": (tool_error, False),
}


@pytest.mark.parametrize("what", WHAT_COUNTS)
async def test_faults_of_the_server_open_it_and_mistakes_of_a_client_do_not(what: str, gateway: GatewayFactory) -> None:
    behaviour, opens = WHAT_COUNTS[what]
    sections = SECTIONS.replace("30s", "1s") if behaviour is silent else SECTIONS
    async with FaultServer(behaviour) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        for _ in range(3):
            assert not refused(await write(front))
        assert state(front) == (OPEN if opens else CLOSED)
        assert refused(await write(front)) == opens


async def test_a_pool_may_count_internal_errors(gateway: GatewayFactory) -> None:
    sections = SECTIONS.replace("[pools.circuit_breaker]", "[pools.circuit_breaker]\ncount_internal_errors = true")
    async with FaultServer(error(-32603)) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        for _ in range(3):
            assert not refused(await write(front))
        assert refused(await write(front))


async def test_where_it_is_open_at_one_replica_calls_go_to_the_other_and_the_gauge_shows_the_worst(
    gateway: GatewayFactory,
) -> None:
    async with FaultServer(FAILS) as bad, FaultServer(name="good") as good:
        sections = LONG_OPEN + '[pools.load_balancer]\nstrategy = "round_robin"\n'
        front = await asyncio.to_thread(gateway, pool_toml(bad.url, good.url, sections=sections))
        for _ in range(6):
            await write(front)
        assert state(front) == OPEN
        assert [(await write(front)).status for _ in range(6)] == [200] * 6
        assert len(bad.calls("write")) == 3
        for _ in range(4):
            await ask(front, tool_call("read"))
        assert len(bad.calls("read")) == 2, "another tool is not held off"


async def test_a_session_whose_home_has_it_open_is_refused_and_clients_without_one_go_elsewhere(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    ledger = tmp_path / "ledger.jsonl"
    async with (
        FaultReplica("a", free_port(), ledger) as a,
        FaultReplica("b", free_port(), ledger) as b,
        aiohttp.ClientSession() as http,
    ):
        sections = LONG_OPEN
        front = await asyncio.to_thread(gateway, pool_toml(a.url, sections=sections))
        session = RawSession(http)
        await session.open(front)
        front.edit(pool_toml(a.url, b.url, sections=sections))
        there = f'mcppool_endpoint_available{{pool="demo",endpoint="{b.url}"}}'
        await until(lambda: front.metric(there) == 1, "the other is there")
        a.behaviour = FAILS
        reasons = [(await session.post(front, call("write")))[1]["error"]["data"] for _ in range(5)]
        assert [data["reason"] for data in reasons] == ["upstream_error"] * 3 + ["circuit_open"] * 2
        assert reasons[-1]["delivered"] == "no"
        assert reasons[-1]["retryAfterMs"] > 0
        opened = "tool=write was=closed now=open scope="
        await until(lambda: f'{opened}"one client"' in front.log, "it is open for the session alone")
        async with asyncio.timeout(60):
            while (await write(front)).status == 200:  # until another client's call has failed there, too
                pass
        assert [(await write(front)).status for _ in range(6)] == [200] * 6
        received = written_json(ledger)
        assert [line["event"] for line in received if line["name"] == "a"] == ["received", "executed"] * 4
        a.behaviour = healthy
        answer = (await session.post(front, call("echo")))[1]
        assert "result" in answer, "another tool of its home is at work"
