"""A server that asks for a rest (`Retry-After`) gets one, also from calls that had nothing to do with it."""

from __future__ import annotations

import asyncio
from time import monotonic

from tests.conftest import GatewayFactory
from tests.integration.raw_http import RawClient, ask, tool_call
from tests.servers import pool_toml
from tests.servers.faults import Exchange, FaultServer, healthy, status
from tests.waiting import until

REFUSED = "429 Too Many Requests"
AWAY = "503 Service Unavailable"
LIMIT = 50.0  # seconds that a call may take: less than the rest that is asked for, and more than a busy machine needs
LIMITED = f'[pools.tools.write]\ntimeout = "{LIMIT:.0f}s"\n'


async def test_a_resting_replica_gets_no_new_calls_while_another_can_take_them(gateway: GatewayFactory) -> None:
    async with FaultServer(name="a") as a, FaultServer(name="b") as b:
        a.behaviour = status(AWAY, retry_after="60")
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url))
        answers = [(await ask(front, tool_call("read"))).status for _ in range(40)]
        assert answers == [200] * 40
        assert len(a.calls()) == 1
        assert len(b.calls()) == 40


async def test_a_rest_may_be_given_as_a_date(gateway: GatewayFactory) -> None:
    async def away(exchange: Exchange) -> None:  # its clock is years behind ours
        headers = [("Date", "Fri, 31 Dec 1999 23:59:00 GMT"), ("Retry-After", "Fri, 31 Dec 1999 23:59:59 GMT")]
        await exchange.respond(b"no\n", status=AWAY, headers=headers, content_type="text/plain")

    async with FaultServer(away) as a, FaultServer() as b:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url))
        answers = [(await ask(front, tool_call("read"))).status for _ in range(40)]
        assert answers == [200] * 40
        assert len(a.calls()) == 1


async def test_calls_come_again_when_the_rest_is_over(gateway: GatewayFactory) -> None:
    async with FaultServer(script=[status(REFUSED, retry_after="1")]) as a, FaultServer() as b:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url))

        async def calls_of_a() -> int:
            assert (await ask(front, tool_call("write"))).status == 200
            return len(a.calls())

        began = monotonic()
        while await calls_of_a() < 1:
            assert len(b.calls()) < 100
            began = monotonic()
        while await calls_of_a() < 2:
            assert monotonic() - began < 60
        assert monotonic() - began > 0.9


async def test_a_call_that_all_refuse_waits_for_the_first_of_them_and_gives_only_one_a_rest(
    gateway: GatewayFactory,
) -> None:
    arrived: list[str] = []  # the calls that were not refused, in their order

    async def answer(exchange: Exchange) -> None:
        arrived.append(exchange.body["params"]["arguments"]["who"])
        await healthy(exchange)

    refusal = status(REFUSED, retry_after="4")
    async with FaultServer(answer, script=[refusal]) as a, FaultServer(answer, script=[refusal]) as b:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url))
        began = monotonic()
        first = asyncio.create_task(ask(front, tool_call("write", arguments={"who": "first"})))
        await until(lambda: a.calls() and b.calls(), "both have refused")
        others = [await ask(front, tool_call("write", arguments={"who": "another"})) for _ in range(5)]
        answers = [await first, *others]
        assert [answer.status for answer in answers] == [200] * 6
        assert monotonic() - began > 3.9
        assert arrived[0] == "another", "the others did not wait"
        assert len(a.calls()) + len(b.calls()) == 8


async def test_the_rest_is_from_the_tool_that_was_refused(gateway: GatewayFactory) -> None:
    async def refuse_writes(exchange: Exchange) -> None:
        await (status(REFUSED, retry_after="60") if exchange.tool == "write" else healthy)(exchange)

    async with FaultServer(refuse_writes) as a, FaultServer() as b:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url))
        assert [(await ask(front, tool_call("write"))).status for _ in range(20)] == [200] * 20
        assert len(a.calls("write")) == 1
        assert [(await ask(front, tool_call("read"))).status for _ in range(20)] == [200] * 20
        assert a.calls("read")
        assert b.calls("read")


async def test_the_last_endpoint_never_rests_for_others(gateway: GatewayFactory) -> None:
    async with FaultServer(script=[status(REFUSED, retry_after="200")]) as server:
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=LIMITED))
        began = monotonic()
        met = await ask(front, tool_call("write"))
        new = await ask(front, tool_call("write"))
        assert monotonic() - began < LIMIT
        assert (met.status, met.error["data"]["reason"], met.error["data"]["attempts"]) == (429, "upstream_refused", 1)
        assert 150_000 < met.error["data"]["retryAfterMs"] <= 200_000
        assert new.status == 200


async def test_a_client_that_is_refused_everywhere_does_not_block_the_tool_for_others(gateway: GatewayFactory) -> None:
    async def refuse_mallory(exchange: Exchange) -> None:
        refused = exchange.body["params"]["arguments"].get("who") == "mallory"
        await (status(REFUSED, retry_after="60") if refused else healthy)(exchange)

    async with FaultServer(refuse_mallory) as a, FaultServer(refuse_mallory) as b, FaultServer(refuse_mallory) as c:
        front = await asyncio.to_thread(gateway, pool_toml(a.url, b.url, c.url, sections=LIMITED))
        async with RawClient(front) as mallory:
            for n in range(20):
                await mallory.send(tool_call("write", request_id=n, arguments={"who": "mallory"}))
                assert (await mallory.answer()).status == 429
        began = monotonic()
        assert [(await ask(front, tool_call("write"))).status for _ in range(10)] == [200] * 10
        assert monotonic() - began < LIMIT
