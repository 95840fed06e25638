"""Answers in a real Redis: shared by gateways, gone when they should be; without Redis calls go on, visibly."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from time import monotonic

import pytest

from mcppool.cache.redis import RedisStore
from mcppool.cache.redis_link import RedisLink
from mcppool.cache.shared_rates import SharedRates
from mcppool.cache.shared_sessions import SharedSessions
from mcppool.cache.store import CachedAnswer
from mcppool.policy.token_bucket import RateLimit
from mcppool.wire.sealing import Key, KeyRing, SessionClaims, seal
from tests.conftest import GatewayFactory
from tests.integration.cached import Client, HintServer, caching_pool
from tests.integration.test_failover import post
from tests.servers import pool_toml, serving
from tests.servers.redis_server import RedisServer
from tests.waiting import until

RING = KeyRing([Key("k", bytes(32))])
READ_CACHED = '[pools.tools.read]\ncache_ttl = "1m"\n'


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with serving(RedisServer(tmp_path)) as (server,):
        yield server


def section(redis: RedisServer) -> str:
    return f'type = "redis"\nredis_url = "{redis.address}"\nredis_timeout = "10s"\n'


def link_of(client: Client) -> RedisLink:
    assert client.pool.redis is not None
    assert client.pool.redis.link is not None
    return client.pool.redis.link


async def written(client: Client) -> None:
    """Wait until the value is in Redis."""
    link = link_of(client)
    await until(lambda: not link.writing, "it is written")


async def hits(client: Client, label: str = "read") -> int:
    count: int = client.counters.hits.get(label, 0)
    return count


async def test_gateways_share_cached_answers_and_invalidations(redis: RedisServer) -> None:
    async with (
        HintServer() as server,
        caching_pool(server, cache=section(redis), sections=READ_CACHED) as one,
        caching_pool(server, cache=section(redis), sections=READ_CACHED) as other,
    ):
        for each in (one, other):
            await written(each)  # the marks that each found when it began
        kept = await one.tool("read", {"a": 1})
        await written(one)
        assert await other.tool("read", {"a": 1}) == kept
        assert await other.tool("read", {"a": 1}, principal="b") != kept
        other.caching.watching.changed("notifications/tools/list_changed", None)
        await written(other)
        assert await one.tool("read", {"a": 1}) != kept


async def test_an_answer_has_its_age_and_expires_by_itself(redis: RedisServer) -> None:
    link = RedisLink(redis.address, "test", {}, RING, timeout=5.0)
    store = RedisStore(link)
    found = await store.get(b"k", "t")
    life = 2.0
    began = monotonic()
    store.put(b"k", "t", CachedAnswer(b'{"ttlMs":1000}', life / 2, life / 2, (9, 13)), found.mark)
    store.put(b"stale", "t", CachedAnswer(b"{}", 0.05, 60.0), found.mark)
    ages = []
    while monotonic() < began + 10:
        found = await store.get(b"k", "t")
        if found.kept is not None:
            ages.append((found.age, found.fresh))
            assert found.kept.result == b'{"ttlMs":1000}'
        elif ages:
            break
        await asyncio.sleep(0.01)
    assert ages == sorted(ages, key=lambda each: each[0])
    assert all(fresh == (age < life / 2) for age, fresh in ages)
    assert ages[-1][0] <= life
    assert monotonic() - began >= life, "and not before its time"
    stale = await store.get(b"stale", "t")
    assert stale.kept is not None
    assert not stale.fresh
    await link.close()


async def test_an_answer_that_was_fetched_before_an_invalidation_is_not_kept(redis: RedisServer) -> None:
    link = RedisLink(redis.address, "test", {}, RING, timeout=5.0)
    store = RedisStore(link)
    before = await store.get(b"k", "t")
    store.invalidate(("t",))
    deadline = monotonic() + 60
    while (await store.get(b"k", "t")).mark == before.mark:
        assert monotonic() < deadline
    store.put(b"k", "t", CachedAnswer(b"{}", 60.0), before.mark)
    await until(lambda: not link.writing, "it is written")
    assert (await store.get(b"k", "t")).kept is None
    await link.close()


async def test_keys_begin_with_prefix_and_pool_and_reveal_nothing_of_the_request(redis: RedisServer) -> None:
    from redis.asyncio import Redis

    async with HintServer() as server, caching_pool(server, cache=section(redis), sections=READ_CACHED) as client:
        await client.tool("read", {"secret": "s3cr3t"})
        await written(client)
        raw = Redis.from_url(redis.address)
        keys = [key async for key in raw.scan_iter()]
        assert keys
        assert all(key.startswith(b"mcppool:demo:") and b"s3cr3t" not in key for key in keys)
        assert all([await raw.pttl(key) > 0 for key in keys])
        await raw.aclose()


async def test_names_of_buckets_and_sessions_reveal_neither_principal_nor_tool_nor_session(redis: RedisServer) -> None:
    link = RedisLink(redis.address, "test", {}, RING, timeout=5.0)
    rates, sessions = SharedRates(link), SharedSessions(link, 60.0)
    claims = SessionClaims(
        endpoint="http://a/mcp", upstream_session="upstream", version="2025-11-25", capabilities=None, client=b"{}",
        issued=0, expires=1 << 40,
    )  # fmt: skip
    token = seal(claims, RING, b"p")
    secrets = ["alice@example.com", "drop_tables", token, "x://private"]
    assert await rates.take([RateLimit("principal", secrets[0], 1, 9), RateLimit("tool", secrets[1], 1, 9)]) == (
        None,
        0,
    )
    sessions.note(token, add=secrets[3])
    await until(lambda: not link.writing, "it is written")
    found = {key: await link.client.dump(key) async for key in link.client.scan_iter()}
    assert len(found) == 3
    for secret in secrets:
        assert not [key for key, value in found.items() if secret.encode() in key + value]
    await link.close()


async def test_a_socket_file_and_a_password_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("pa55word\n")
    with serving(RedisServer(tmp_path, "pa55word")) as (redis,):
        for address in (redis.socket_address, redis.address):
            troubles: list[str | None] = []
            link = RedisLink(address, "test", {}, RING, timeout=5.0, password_file=str(tmp_path / "password"))
            link.reports.append(troubles.append)
            found = await RedisStore(link).get(b"k", "t")
            assert isinstance(found.mark, bytes)
            assert troubles == []
            await link.close()
        link = RedisLink(redis.address, "test", {}, RING, timeout=5.0)
        link.reports.append(troubles.append)
        assert (await RedisStore(link).get(b"k", "t")).mark is None
        assert troubles
        await link.close()


async def test_a_redis_that_hangs_costs_one_time_out_and_comes_back_by_itself(redis: RedisServer) -> None:
    cache = section(redis).replace("10s", "1s")
    async with HintServer() as server, caching_pool(server, cache=cache, sections=READ_CACHED) as client:
        store = client.caching.store
        kept = await client.tool("read")
        await written(client)
        redis.pause()
        began = monotonic()
        number = await client.tool("read")
        waited = monotonic() - began
        assert number != kept
        assert waited >= 1.0
        assert store.trouble is not None
        errors = dict(client.pool.metrics.redis_errors)
        numbers = [await client.tool("read") for _ in range(20)]
        assert len(set(numbers)) == 20, "calls go on, uncached"
        assert client.pool.metrics.redis_errors == errors == {"timeout": 1}, "and nobody waits for Redis any more"
        store.invalidate(("tools",))
        redis.resume()
        await until(lambda: store.trouble is None, "it is well again")
        assert await client.tool("read") != kept, "what was invalidated meanwhile is not given"
        await written(client)
        before = await hits(client)
        await client.tool("read")
        assert await hits(client) == before + 1


async def test_without_redis_calls_go_on_and_metrics_health_and_one_line_of_the_log_say_so(
    gateway: GatewayFactory, redis: RedisServer
) -> None:
    async with HintServer() as server:
        pools = pool_toml(server.url, sections=f"[pools.cache]\n{section(redis)}\n{READ_CACHED}")
        front = await asyncio.to_thread(gateway, pools)
        numbers = [(await post(front, "read"))[1]["result"]["number"] for _ in range(5)]
        assert len(set(numbers)) < 5
        redis.kill()
        for _ in range(5):
            status, _ = await post(front, "read", other=1)
            assert status == 200
        health = json.loads((await asyncio.to_thread(front.get, "/health"))[1])
        assert health["components"]["cache"]["status"] == "degraded"
        assert "calls are not cached" in health["components"]["cache"]["message"]
        assert health["overall"] != "unhealthy"
        assert await asyncio.to_thread(front.metric, 'mcppool_cache_up{pool="demo",cache_type="redis"}') == 0.0
        assert await asyncio.to_thread(front.metric, 'mcppool_redis_errors_total{pool="demo",kind="connection"}') == 1.0
        assert front.log.count("redis_away") == 1
        await redis.restart()
        await until(lambda: front.log.count("redis_back") == 1, "it is back")
