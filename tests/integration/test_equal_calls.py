"""Equal calls at the same time are one call of the server."""

from __future__ import annotations

import asyncio

from mcppool.policy.memory_budget import MIN_ROOM
from tests.integration.cached import READ_CACHED, HintServer, caching_pool
from tests.servers.faults import gated, healthy, reset_before
from tests.waiting import until


async def test_equal_calls_at_the_same_time_are_made_once() -> None:
    gate = asyncio.Event()
    async with HintServer(gated(gate)) as server, caching_pool(server, sections=READ_CACHED) as client:
        calls = [asyncio.create_task(client.tool("read", {"q": 1})) for _ in range(10)]
        other = asyncio.create_task(client.tool("read", {"q": 1}, principal="b"))
        await until(lambda: len(server.calls("read")) == 2, "one call for each principal is there")
        gate.set()
        numbers = await asyncio.gather(*calls)
        assert set(numbers) == {numbers[0]} != {await other}
        assert server.executed("read") == 2
        assert client.counters.coalesced == 9


async def test_callers_that_wait_for_an_equal_call_are_refused_without_memory_for_their_copies() -> None:
    gate = asyncio.Event()
    async with HintServer(gated(gate)) as server, caching_pool(server, sections=READ_CACHED) as client:
        memory = client.pool.memory
        calls = [asyncio.create_task(client.ask("tools/call", {"name": "read", "arguments": {}})) for _ in range(5)]
        await until(lambda: server.calls("read"), "the first call is there")
        memory.set_limit(MIN_ROOM, 0)
        memory.account("answers").charge(MIN_ROOM)
        assert memory.full
        gate.set()
        answers = await asyncio.gather(*calls)
        memory.account("answers").release(MIN_ROOM)
        reasons = [answer["error"]["data"]["reason"] for answer in answers if "error" in answer]
        assert reasons == ["overloaded"] * 4
        assert client.counters.coalesced == 0
        memory.set_limit(None, 0)
        assert "result" in await client.ask("tools/call", {"name": "read", "arguments": {}})
        assert server.executed("read") <= 2
        client.caching.store.give_way(1 << 30)  # type: ignore[attr-defined]
        assert [account.used for account in memory.accounts() if account.name != "sessions"] == [0] * 6


async def test_when_the_first_caller_gives_up_the_next_one_goes_on() -> None:
    gate = asyncio.Event()
    async with HintServer(gated(gate)) as server, caching_pool(server, sections=READ_CACHED) as client:
        first = asyncio.create_task(client.tool("read"))
        await until(lambda: server.calls("read"), "the first call is there")
        others = [asyncio.create_task(client.tool("read")) for _ in range(3)]
        await asyncio.sleep(0)
        first.cancel()
        await until(lambda: len(server.calls("read")) == 2, "the second call is there")
        gate.set()
        assert len(set(await asyncio.gather(*others))) == 1


async def test_a_caller_waits_for_an_equal_call_until_its_own_deadline() -> None:
    async with HintServer(gated(asyncio.Event())) as server, caching_pool(server, sections=READ_CACHED) as client:
        first = asyncio.create_task(client.tool("read"))
        await until(lambda: server.calls("read"), "the first call is there")
        answer = await client.ask("tools/call", {"name": "read", "arguments": {}}, timeout=0.2)
        assert answer["error"]["data"]["reason"] == "timeout"
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)


async def test_an_unsafe_tool_may_be_kept_but_two_calls_of_it_are_two() -> None:
    gate = asyncio.Event()
    sections = '[pools.tools.write]\ncache_ttl = "1m"\n'
    async with HintServer(gated(gate)) as server, caching_pool(server, sections=sections) as client:
        calls = [asyncio.create_task(client.tool("write")) for _ in range(2)]
        await until(lambda: len(server.calls("write")) == 2, "both are there")
        gate.set()
        await asyncio.gather(*calls)
        await client.tool("write")
        assert server.executed("write") == 2


async def test_a_failed_call_is_not_shared() -> None:
    async with HintServer(script=[reset_before]) as server, caching_pool(server, sections=READ_CACHED) as client:
        first = await client.ask("tools/call", {"name": "read", "arguments": {}})
        assert "result" in first, "safe: it was tried again"
        server.script = [healthy]
        assert await client.tool("read") == first["result"]["number"]
