"""More calls than the limits allow: some wait, the others are refused at once, and admitted calls stay fast."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from statistics import median

import aiohttp
import pytest

from tests.conftest import GatewayFactory
from tests.integration.raw_http import Answer, ask, tool_call
from tests.integration.raw_session import RawSession, call
from tests.servers import Gateway, pool_toml
from tests.servers.faults import Behaviour, Exchange, FaultServer, healthy
from tests.servers.handshakes import Handshakes
from tests.waiting import until

PATIENT = '[pools.connection_pool]\nmax_connections = 50\nacquire_timeout = "20s"\n'
CALLERS = 30


class Crowd:
    """A behaviour that holds calls until the test opens the door, and counts how many there were at once."""

    def __init__(self, then: Behaviour = healthy) -> None:
        self.door = asyncio.Event()
        self.inside: Counter[str] = Counter()
        self.most: Counter[str] = Counter()
        self._then = then

    async def __call__(self, exchange: Exchange) -> None:
        name = exchange.server.name
        self.inside[name] += 1
        self.most[name] = max(self.most[name], self.inside[name])
        try:
            await self.door.wait()
        finally:
            self.inside[name] -= 1
        await self._then(exchange)


@contextlib.asynccontextmanager
async def calling(front: Gateway, tool: str) -> AsyncIterator[list[asyncio.Task[Answer]]]:
    """`CALLERS` calls of a tool at once."""
    tasks = [asyncio.create_task(ask(front, tool_call(tool, request_id=n))) for n in range(CALLERS)]
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def demand_refusal(answer: Answer) -> None:
    """It was refused early: not sent, and with a time to wait, as header and as member."""
    assert answer.status == 503
    assert int(answer.headers["retry-after"]) >= 1
    data = answer.error["data"]
    assert (data["reason"], data["delivered"], data["attempts"]) == ("overloaded", "no", 0)
    assert data["retryAfterMs"] > 0


LIMITS = {
    # The section, the upper bound on calls at both servers together, and the number that wait.
    "endpoint": ("[pools.limits.endpoint]\nmax_concurrent = 3\nmax_queue = 2", 6, 4),
    "pool": ("[pools.limits.pool]\nmax_concurrent = 4\nmax_queue = 3", 4, 3),
    "each tool": ("[pools.limits.tool]\nmax_concurrent = 3\nmax_queue = 2", 3, 2),
    "one tool": ("[pools.tools.read]\nmax_concurrent = 2", 2, 0),
}


@pytest.mark.parametrize("what", LIMITS)
async def test_so_many_are_at_the_servers_so_many_wait_and_the_rest_is_refused_at_once(
    what: str, gateway: GatewayFactory
) -> None:
    section, at_once, queued = LIMITS[what]
    crowd = Crowd()

    async def at_the_server(exchange: Exchange) -> None:
        await (crowd if exchange.tool == "read" else healthy)(exchange)

    async with FaultServer(at_the_server, name="a") as a, FaultServer(at_the_server, name="b") as b:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, sections=PATIENT + section))
        async with calling(front, "read") as calls:
            refused = CALLERS - at_once - queued
            await until(lambda: sum(task.done() for task in calls) == refused, "the rest is refused")
            await until(lambda: crowd.inside.total() == at_once, "those who may be there are there")
            waiting = await asyncio.to_thread(front.metric, 'mcppool_pool_waiting_requests{pool="demo"}')
            assert waiting == queued
            for task in calls:
                if task.done():
                    demand_refusal(task.result())
            if "tool" in what:
                assert (await ask(front, tool_call("write"))).status == 200, "another tool is not held up"
            crowd.door.set()
            answers = Counter([(await task).status for task in calls])
        assert answers == {200: at_once + queued, 503: refused}
        assert crowd.most.total() <= at_once
        if what == "endpoint":
            assert crowd.most == {"a": 3, "b": 3}
        assert (await ask(front, tool_call("read"))).status == 200, "and their places are free again"


async def test_sessions_that_live_at_one_endpoint_do_not_exceed_its_limit(gateway: GatewayFactory) -> None:
    section = LIMITS["endpoint"][0]
    crowd = Crowd()
    async with (
        FaultServer(Handshakes(crowd), everything=True, name="a") as a,
        FaultServer(Handshakes(crowd), everything=True, name="b") as b,
        aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as http,
    ):
        front = await asyncio.to_thread(gateway, pool_toml(a.url, sections=PATIENT + section))
        sessions = [RawSession(http) for _ in range(12)]
        for session in sessions:
            await session.open(front)
        front.edit(pool_toml(a.url, b.url, sections=PATIENT + section))
        await until(lambda: front.log.count("endpoint_added") == 2, "b is there")
        calls = [asyncio.create_task(session.post(front, call("read"))) for session in sessions]
        await until(lambda: sum(task.done() for task in calls) == 7, "the rest is refused")
        await until(lambda: crowd.inside == {"a": 3}, "three are at their server, two wait for it")
        crowd.door.set()
        reasons = Counter([answer.get("error", {"data": {"reason": None}})["data"]["reason"] for _, answer in
                           await asyncio.gather(*calls)])  # fmt: skip
        assert reasons == {None: 5, "overloaded": 7}
        assert crowd.most == {"a": 3}


async def test_when_a_replica_dies_its_reads_wait_for_places_at_the_other_and_none_is_lost(
    gateway: GatewayFactory,
) -> None:
    section = "[pools.limits.endpoint]\nmax_concurrent = 3\nmax_queue = 0"
    crowd = Crowd()
    async with FaultServer(crowd, name="a") as a, FaultServer(crowd, name="b") as b:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, sections=PATIENT + section))
        calls = [asyncio.create_task(ask(front, tool_call("read", request_id=n))) for n in range(6)]
        await until(lambda: crowd.inside == {"a": 3, "b": 3}, "each has as many as it may have")
        await a.refuse()
        waiting = 'mcppool_pool_waiting_requests{pool="demo"}'
        await until(lambda: front.metric(waiting) == 3, "those of the one wait for places at the other")
        crowd.door.set()
        assert {(await task).status for task in calls} == {200}
        assert crowd.most == {"a": 3, "b": 3}


class Busy:
    """A behaviour: `places` calls are worked at at a time, each for `seconds`; the others wait, in order."""

    def __init__(self, places: int, seconds: float) -> None:
        self.finished = 0
        self._places = asyncio.Semaphore(places)
        self._seconds = seconds

    async def __call__(self, exchange: Exchange) -> None:
        async with self._places:
            await asyncio.sleep(self._seconds)
            self.finished += 1
        await healthy(exchange)


async def test_under_overload_those_admitted_wait_for_few_others_and_the_server_always_has_work(
    gateway: GatewayFactory,
) -> None:
    places, service, callers, wanted = 4, 0.5, 32, 40
    busy = Busy(places, service)
    before: list[int] = []  # for each call that was admitted, how many others were finished while it lasted
    refused = 0

    async def caller(front: Gateway) -> None:
        nonlocal refused
        while len(before) < wanted:
            began = busy.finished
            answer = await ask(front, tool_call("read"))
            if answer.status == 200:
                before.append(busy.finished - began - 1)
            else:
                refused += 1
                demand_refusal(answer)
                await asyncio.sleep(2 * service)  # a caller that ignores Retry-After

    async with FaultServer(busy) as server:
        section = f"[pools.limits.pool]\nmax_concurrent = {places}\nmax_queue = {places}"
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=PATIENT + section))
        await asyncio.gather(*(caller(front) for _ in range(callers)))
    assert refused >= callers - 2 * places, "it is overload"
    # Those at work and those in the queue are before it; without limits all other callers would be.
    assert median(before) < callers / 2


async def test_a_limit_that_is_learned_grows_while_calls_take_as_long_as_ever(gateway: GatewayFactory) -> None:
    crowd = Crowd()
    async with FaultServer(crowd) as server:
        front = await asyncio.to_thread(
            gateway, pool_toml(server.url, sections=PATIENT + '[pools.limits]\nendpoint = "auto"')
        )
        limit = f'mcppool_endpoint_concurrency_limit{{pool="demo",endpoint="{server.url}"}}'
        calls = [asyncio.create_task(ask(front, tool_call("read", request_id=n))) for n in range(40)]
        await until(lambda: crowd.inside.total() == 20, "as many calls as the limit allows are there", 60)
        assert await asyncio.to_thread(front.metric, limit) == 20
        crowd.door.set()
        assert {answer.status for answer in await asyncio.gather(*calls)} == {200}
        assert crowd.most.total() <= 30
        assert await asyncio.to_thread(front.metric, limit) > 20
