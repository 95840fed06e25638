"""The cache of a running gateway, as its clients and its admin port see it; with a real Redis that is away or slow."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from time import monotonic

import aiohttp
import pytest
from mcp import Client
from redis.asyncio import Redis

from tests.conftest import GatewayFactory
from tests.integration.cached import HintServer
from tests.integration.raw_http import RawClient, ask, request
from tests.integration.raw_session import RawSession
from tests.integration.raw_session import call as session_call
from tests.integration.test_failover import post
from tests.servers import (
    Gateway,
    Replica,
    aserving,
    everything_server,
    modern_call,
    modern_request,
    pool_toml,
    urls_of,
)
from tests.servers.faults import Behaviour, gated, healthy, not_json, reset_before, silent, status
from tests.servers.redis_server import RedisServer
from tests.waiting import until

READ_CACHED = '[pools.tools.read]\ncache_ttl = "1m"\n'


def call(text: str, **more: str) -> bytes:
    """A call of `read` with an argument."""
    headers, body = modern_call("read", {"text": text, **more})
    return request(body, headers)


async def metric(front: Gateway, name: str, **labels: str) -> float:
    inside = ",".join(f'{label}="{value}"' for label, value in labels.items())
    return await asyncio.to_thread(front.metric, f"{name}{{{inside}}}")


async def test_a_note_names_cached_tools_whose_calls_come_in_sessions(
    gateway: GatewayFactory, replicas: tuple[Replica, ...]
) -> None:
    cached = '[pools.cache]\ntype = "memory"\n[pools.tools.add]\ncache_ttl = "1m"\n'
    front = await asyncio.to_thread(gateway, pool_toml(*urls_of(replicas), sections=cached))

    def notes() -> list[str]:
        return list(json.loads(front.get("/status.json")[1])["pools"][0]["warnings"])

    assert notes() == []
    async with aiohttp.ClientSession() as http:
        session = RawSession(http)
        await session.open(front)
        for _ in range(2):
            assert (await session.post(front, session_call("add", a=1, b=2)))[0] == 200
        (note,) = notes()
        assert note.startswith("calls of add in sessions of the servers are not cached")
        front.edit(pool_toml(*urls_of(replicas), sections=f"{cached}[pools.sessions]\nstateless = true\n"))
        await until(lambda: notes() == [], "the sessions hold no state")
        for _ in range(2):
            assert (await session.post(front, session_call("add", a=1, b=2)))[0] == 200
    assert await metric(front, "mcp_cache_hits_total", cache_type="memory", tool_name="add") == 1


@pytest.mark.parametrize(("bound", "reason"), [("max_size = 20", "size"), ('max_bytes = "32KiB"', "bytes")])
async def test_entries_and_bytes_stay_in_their_bounds_and_evictions_are_counted(
    bound: str, reason: str, gateway: GatewayFactory
) -> None:
    async with HintServer() as server:
        cache = f'[pools.cache]\ntype = "memory"\n{bound}\n{READ_CACHED}'
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=cache))
        for n in range(100):
            assert (await ask(front, call(f"{n}", filling="x" * 1000))).status == 200
        items = await metric(front, "mcp_cache_size_items", cache_type="memory")
        used = await metric(front, "mcp_cache_memory_usage_bytes", cache_type="memory")
        gone = await metric(front, "mcp_cache_evictions_total", cache_type="memory", reason=reason)
        assert items + gone == 100
        assert (items == 20) if reason == "size" else (0 < used <= 32 * 1024)
        for n in range(99, 99 - int(items), -1):
            await ask(front, call(f"{n}", filling="x" * 1000))
        assert server.executed("read") == 100, "those used last are the ones that stayed"


async def test_an_answer_is_for_those_whose_headers_the_server_cannot_tell_apart(gateway: GatewayFactory) -> None:
    async with HintServer() as server:
        cache = f'[pools.headers]\nforward = ["X-Tenant"]\n[pools.cache]\ntype = "memory"\n{READ_CACHED}'
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=cache))

        async def number(*lines: str) -> int:
            headers, body = modern_call("read", {"text": "same"})
            more = "".join(f"{line}\r\n" for line in lines)
            answer: int = (await ask(front, request(body, headers, more=more))).json["result"]["number"]
            return answer

        ann = await number("X-Tenant: ann")
        bob = await number("X-Tenant: bob")
        assert len({ann, bob, await number()}) == 3
        assert await number("X-Tenant: ann", "User-Agent: another") == ann
        assert await number("X-Tenant: bob", "X-Request-Id: 17") == bob


async def test_when_the_client_that_asked_first_hangs_up_the_next_ones_call_goes_on(gateway: GatewayFactory) -> None:
    door = asyncio.Event()
    async with HintServer(gated(door)) as server:
        cache = f'[pools.cache]\ntype = "memory"\n{READ_CACHED}'
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=cache))
        async with RawClient(front) as first:
            await first.send(call("same"))
            await until(lambda: len(server.calls()) == 1, "the first call is at the server")
            others = [asyncio.create_task(ask(front, call("same"))) for _ in range(5)]
            opened = "mcppool_listener_connections"
            await until(lambda: front.metric(opened) >= 6, "the others are at the gateway")
        await until(lambda: len(server.calls()) == 2, "one of them makes the call now")
        door.set()
        answers = [await task for task in others]
        assert {answer.status for answer in answers} == {200}
        assert len({answer.json["result"]["number"] for answer in answers}) == 1
        assert len(server.calls()) == 2
        assert await metric(front, "mcppool_cache_coalesced_total", pool="demo") == 4


async def test_a_change_that_a_real_server_announces_invalidates_the_answer(gateway: GatewayFactory) -> None:
    sections = (
        '[pools.cache]\ntype = "memory"\n[pools.catalog]\nuniform = true\n'
        '[pools.connection_pool]\nhealth_check_interval = "1h"\n'
    )
    async with aserving(everything_server("a")) as (server,):
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        labels = {"cache_type": "memory", "tool_name": "tools/list"}
        dropped = 'mcp_cache_evictions_total{cache_type="memory",reason="invalidated"}'

        async def listed() -> tuple[float, float]:
            async with Client(front.url) as client:
                await client.list_tools()
            hits = await metric(front, "mcp_cache_hits_total", **labels)
            return hits, await metric(front, "mcp_cache_misses_total", **labels)

        assert await listed() == (0, 1)
        assert await listed() == (1, 1)
        async with Client(front.url) as client, client.listen(tools_list_changed=True) as changes:
            await post(front, "test_trigger_tool_change")
            await asyncio.wait_for(anext(aiter(changes)), 60)
        assert front.metric(dropped) == 1
        assert await listed() == (1, 2)


FAILURES: dict[str, Behaviour] = {
    "HTTP 500": status("500 Internal Server Error"),
    "reset": reset_before,
    "garbage": not_json,
    "429": status("429 Too Many Requests"),
    "silent": silent,
}


@pytest.mark.parametrize("what", FAILURES)
async def test_a_list_that_has_expired_is_given_when_no_server_can_answer_and_it_is_seen(
    what: str, gateway: GatewayFactory
) -> None:
    sections = '[pools.cache]\ntype = "memory"\n[pools.timeouts]\nrequest = "2s"\n'
    async with HintServer() as server:
        server.hints["ttlMs"] = 700
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=sections))
        headers, body = modern_request("prompts/list")
        kept = (await ask(front, request(body, headers))).json["result"]["number"]
        due = monotonic() + 0.7
        server.behaviour, server.everything = FAILURES[what], True
        await until(lambda: monotonic() >= due, "it has expired")
        answer = await ask(front, request(body, headers))
        assert (answer.status, answer.json["result"]["number"], answer.json["result"]["ttlMs"]) == (200, kept, 0)
        assert await metric(front, "mcppool_cache_stale_total", pool="demo") == 1
        assert front.log.count("stale_answer") == 1
        headers, body = modern_request("resources/list")
        assert "error" in (await ask(front, request(body, headers))).json, "of what was never kept there is nothing"


def with_redis(redis: RedisServer, timeout: str) -> str:
    where = f'type = "redis"\nredis_url = "{redis.address}"\nredis_timeout = "{timeout}"\n'
    return f"[pools.cache]\n{where}{READ_CACHED}"


async def demand_seen(front: Gateway, kind: str) -> None:
    """Metrics, health and the log report that Redis does not work, and the reason."""
    health = json.loads((await asyncio.to_thread(front.get, "/health"))[1])
    assert health["components"]["cache"]["status"] == "degraded"
    assert "calls are not cached" in health["components"]["cache"]["message"]
    assert health["overall"] == "degraded"
    assert await metric(front, "mcppool_cache_up", pool="demo", cache_type="redis") == 0
    assert await metric(front, "mcppool_redis_up", pool="demo") == 0
    assert await metric(front, "mcppool_redis_errors_total", pool="demo", kind=kind) >= 1
    assert front.log.count("redis_away") == 1


async def demand_calls(front: Gateway, server: HintServer, within: float) -> None:
    """Twenty equal calls are made one by one, and together take no longer than that."""
    before, began = server.executed("read"), monotonic()
    for _ in range(20):
        assert (await post(front, "read"))[0] == 200
    assert monotonic() - began < within
    assert server.executed("read") == before + 20


async def test_a_gateway_starts_without_its_redis_and_uses_it_once_it_is_there(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    redis = RedisServer(tmp_path)
    try:
        async with HintServer(healthy) as server:
            front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=with_redis(redis, "3s")))
            await demand_calls(front, server, within=20.0)
            await demand_seen(front, "connection")
            await redis.restart()
            await until(lambda: "redis_back" in front.log, "it is found")
            await post(front, "read")
            hits = 'mcp_cache_hits_total{cache_type="redis",tool_name="read"}'
            for _ in range(100):
                await post(front, "read")
                if front.metric(hits):
                    break
            assert front.metric(hits) > 0
            assert await metric(front, "mcppool_redis_up", pool="demo") == 1
    finally:
        redis.close()


async def test_a_redis_that_is_too_slow_is_waited_for_once_and_it_is_seen(
    gateway: GatewayFactory, tmp_path: Path
) -> None:
    async with (
        aserving(RedisServer(tmp_path)) as (redis,),
        HintServer() as server,
        Redis.from_url(redis.address) as raw,
    ):
        front = await asyncio.to_thread(gateway, pool_toml(server.url, sections=with_redis(redis, "3s")))
        await post(front, "read")
        await raw.execute_command("CLIENT PAUSE", "30000", "ALL")  # it answers, half a minute late
        began = monotonic()
        assert (await post(front, "read"))[0] == 200
        assert monotonic() - began >= 3.0
        await demand_calls(front, server, within=20.0)
        await demand_seen(front, "timeout")
