"""Stores of answers outside the process: shared by gateways, sealed, not believed, gone without harm."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from mcppool.cache.sealed_answer import MAX_VALUE
from mcppool.cache.sql import SqlStore
from mcppool.cache.store import CachedAnswer
from mcppool.wire.sealing import KeyRing
from tests.conftest import GatewayFactory
from tests.integration.cached import HintServer, caching_pool
from tests.integration.shared_stores import (
    RINGS,
    SPOILT,
    InPostgres,
    InRedis,
    InSqlite,
    SharedStore,
    a_postgres,
    link_of,
)
from tests.integration.test_failover import post
from tests.servers import pool_toml, serving
from tests.servers.postgres_server import PostgresServer
from tests.servers.redis_server import RedisServer
from tests.waiting import until

READ_CACHED = '[pools.tools.read]\ncache_ttl = "1m"\n'
SECRET = "s3cr3t-in-arguments"


@pytest.fixture(scope="module")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with serving(RedisServer(tmp_path_factory.mktemp("redis"))) as (server,):
        yield server


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PostgresServer]:
    with a_postgres() as server:
        yield server


@pytest.fixture(params=["redis", "sqlite", "postgres"])
async def shared(request: pytest.FixtureRequest, tmp_path: Path) -> SharedStore:
    """An empty store of each kind."""
    if request.param == "sqlite":
        return InSqlite(tmp_path)
    if request.param == "redis":
        store = InRedis(request.getfixturevalue("redis_server"))
        link = store.link()
        await link.client.flushall()
        await link.close()
        return store
    database = InPostgres(request.getfixturevalue("postgres_server"), tmp_path)
    await database.sql("DROP TABLE IF EXISTS mcppool_answers, mcppool_marks, mcppool_claims")
    return database


@pytest.fixture
async def link(shared: SharedStore) -> AsyncIterator[Any]:
    link = shared.link()
    yield link
    await link.close()


async def test_gateways_share_cached_answers_and_invalidations(shared: SharedStore) -> None:
    section = shared.section()
    async with (
        HintServer() as server,
        caching_pool(server, cache=section, sections=READ_CACHED) as one,
        caching_pool(server, cache=section, sections=READ_CACHED) as other,
    ):
        links = link_of(one), link_of(other)
        kept = await one.tool("read", {"a": 1})
        await shared.settled(*links)
        assert await other.tool("read", {"a": 1}) == kept
        assert await other.tool("read", {"a": 1}, principal="b") != kept
        other.caching.watching.changed("notifications/tools/list_changed", None)
        await shared.settled(*links)
        assert await one.tool("read", {"a": 1}) != kept


async def test_a_gateway_that_starts_leaves_the_answers_of_the_same_tools_and_finds_none_of_other_ones(
    shared: SharedStore,
) -> None:
    section = shared.section()
    async with HintServer() as server:
        async with caching_pool(server, cache=section, sections=READ_CACHED) as one:
            kept, listed = await one.tool("read"), await one.number("tools/list")
            await shared.settled(link_of(one))
            async with caching_pool(server, cache=section, sections=READ_CACHED) as other:
                await shared.settled(link_of(other))
                assert (await other.tool("read"), await other.number("tools/list")) == (kept, listed)
                assert (await one.tool("read"), await one.number("tools/list")) == (kept, listed)
        server.tools.append({"name": "new", "inputSchema": {"type": "object"}})  # while no gateway runs
        async with caching_pool(server, cache=section, sections=READ_CACHED) as later:
            assert await later.tool("read") != kept
            assert await later.number("tools/list") != listed


async def test_an_answer_has_its_age_and_expires_by_itself(shared: SharedStore, link: Any) -> None:
    store = shared.store(link)
    found = await store.get(b"k", "t")
    life = 1.0
    began = monotonic()
    store.put(b"k", "t", CachedAnswer(b'{"ttlMs":1000}', life / 2, life / 2, (9, 13)), found.mark)
    store.put(b"stale", "t", CachedAnswer(b"{}", 0.05, 60.0), found.mark)
    ages = []
    while monotonic() < began + 60:
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


async def test_an_answer_that_was_fetched_before_an_invalidation_is_not_kept(shared: SharedStore, link: Any) -> None:
    store = shared.store(link)
    before = await store.get(b"k", "t")
    store.invalidate(("t",))
    await shared.settled(link)
    assert (await store.get(b"k", "t")).mark != before.mark
    store.put(b"k", "t", CachedAnswer(b"{}", 60.0), before.mark)
    await shared.settled(link)
    assert (await store.get(b"k", "t")).kept is None


async def test_nothing_of_requests_and_answers_can_be_read_in_the_store(shared: SharedStore) -> None:
    async with (
        HintServer() as server,
        caching_pool(server, cache=shared.section(), sections=READ_CACHED) as client,
    ):
        await client.tool("read", {"secret": SECRET})
        await shared.settled(link_of(client))
        link: Any = shared.link()
        rows = await shared.everything(link)
        await link.close()
        assert len(rows) >= 3, "an answer and two marks"
        for said in (SECRET, "read", "structuredContent", server.url):
            assert not [row for row in rows if said.encode() in row[0] + row[1]], said


@pytest.mark.parametrize("how", SPOILT)
async def test_an_answer_that_is_not_as_it_was_stored_is_a_miss_and_the_next_one_is_kept(
    shared: SharedStore, link: Any, how: str
) -> None:
    store = shared.store(link)
    for _ in range(2):
        found = await store.get(b"k", "t")
        store.put(b"k", "t", CachedAnswer(b'{"x":1}', 60.0), found.mark)
        await shared.settled(link)
        kept = (await store.get(b"k", "t")).kept
        assert kept is not None
        assert kept.result == b'{"x":1}'
        await shared.spoil(link, b"a", link.name(b"a", b"k"), how)
        assert (await store.get(b"k", "t")).kept is None
        assert link.trouble is None, "the store itself is well"


@pytest.mark.parametrize("how", SPOILT)
@pytest.mark.parametrize("tag", ["t", ""])
async def test_an_invalid_mark_ends_the_cached_answers_and_is_replaced(
    shared: SharedStore, link: Any, how: str, tag: str
) -> None:
    store = shared.store(link)
    found = await store.get(b"k", "t")
    store.put(b"k", "t", CachedAnswer(b"{}", 60.0), found.mark)
    await shared.settled(link)
    await shared.spoil(link, b"m", link.name(b"m", tag.encode()), how)
    again = await store.get(b"k", "t")
    assert again.kept is None
    assert isinstance(again.mark, bytes)
    assert again.mark != found.mark
    store.put(b"k", "t", CachedAnswer(b"{}", 60.0), again.mark)
    await shared.settled(link)
    assert (await store.get(b"k", "t")).kept is not None


async def test_an_answer_under_another_name_or_kept_beyond_its_time_is_a_miss(shared: SharedStore, link: Any) -> None:
    now = 1000.0
    store = shared.store(link, lambda: now)
    found = await store.get(b"k", "t")
    store.put(b"k", "t", CachedAnswer(b"{}", 60.0), found.mark)
    await shared.settled(link)
    await shared.copy(link, b"a", link.name(b"a", b"k"), link.name(b"a", b"other"))
    assert (await store.get(b"k", "t")).kept is not None
    assert (await store.get(b"other", "t")).kept is None
    await shared.expire(link, link.name(b"a", b"k"), 999_999)
    now += 3600.0
    assert (await store.get(b"k", "t")).kept is None


async def test_answers_of_another_pool_or_key_are_not_even_found(shared: SharedStore, link: Any) -> None:
    store = shared.store(link)
    found = await store.get(b"k", "t")
    store.put(b"k", "t", CachedAnswer(b"{}", 60.0), found.mark)
    await shared.settled(link)
    for pool, ring in (("mcppool:q", RINGS[0]), ("mcppool:p", RINGS[1])):
        other: Any = shared.link(pool, ring)
        theirs = shared.store(other)
        await theirs.get(b"k", "t")
        for kind, name in ((b"a", b"k"), (b"m", b"t"), (b"m", b"")):
            await shared.copy(link, kind, link.name(kind, name), other.name(kind, name))
        assert (await theirs.get(b"k", "t")).kept is None
        await other.close()


async def test_a_new_first_key_keeps_answers_sealed_with_the_old_one_and_invalidates_them_too(
    shared: SharedStore, link: Any
) -> None:
    old, new = (ring.keys[0] for ring in RINGS)
    other: Any = shared.link(ring=KeyRing([new, old]))
    mine, theirs = shared.store(link), shared.store(other)
    link.renew_ring(KeyRing([old, new]))
    found = await mine.get(b"k", "t")
    mine.put(b"k", "t", CachedAnswer(b"{}", 60.0), found.mark)
    await shared.settled(link)
    assert (await theirs.get(b"k", "t")).kept is not None
    theirs.invalidate(("t",))
    await shared.settled(other)
    assert (await mine.get(b"k", "t")).kept is None
    await other.close()


async def test_an_answer_that_is_too_large_is_not_stored(shared: SharedStore, link: Any) -> None:
    store = shared.store(link)
    found = await store.get(b"k", "t")
    store.put(b"k", "t", CachedAnswer(b"x" * MAX_VALUE, 60.0), found.mark)
    await shared.settled(link)
    assert link.name(b"a", b"k") not in dict(await shared.everything(link))


async def test_a_store_that_hangs_is_waited_for_once_and_comes_back_without_what_was_invalidated_meanwhile(
    shared: SharedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(SqlStore, "sweep", lambda self, now: None)  # a removal at this moment would be a second fault
    section = shared.section(timeout="1s")
    async with HintServer() as server, caching_pool(server, cache=section, sections=READ_CACHED) as client:
        store, link = client.caching.store, link_of(client)
        kept = await client.tool("read")
        await until(lambda: not link.writing, "it is written")
        shared.pause()
        # The first miss writes: a reader of SQLite does not wait for a writer.
        began = monotonic()
        assert await client.tool("read", {"other": 0}) != kept
        assert monotonic() - began >= 0.9
        assert store.trouble is not None
        errors = dict(link.errors)
        numbers = [await client.tool("read") for _ in range(20)]
        assert len(set(numbers)) == 20, "calls go on, uncached"
        assert link.errors == errors == {"timeout": 1}, "and nobody waits for the store any more"
        store.invalidate(("tools",))
        shared.resume()
        await until(lambda: store.trouble is None, "it is well again")
        again = await client.tool("read")
        assert again not in (kept, *numbers), "what was invalidated meanwhile is not given"
        await until(lambda: not link.writing, "it is written")
        assert await client.tool("read") == again, "and what came after it is"


async def test_invalidations_that_wait_for_the_store_are_bounded_and_none_is_forgotten(
    shared: SharedStore,
) -> None:
    link: Any = shared.link(timeout=1.0)
    store = shared.store(link)
    found = await store.get(b"k", "kept")
    store.put(b"k", "kept", CachedAnswer(b"{}", 60.0), found.mark)
    await shared.settled(link)
    shared.pause()
    store.invalidate(("kept",))
    for i in range(3000):
        store.invalidate((f"resources/read file:///{i}/" + "u" * 1000,))
    assert store.owed <= min(1024, 256 * 1024 // 1000), "of tags of 1,000 bytes"
    shared.resume()
    await until(lambda: not store.owed and link.trouble is None, "the store has got them")
    assert (await store.get(b"k", "kept")).kept is None
    await link.close()


@pytest.mark.parametrize("kind", ["redis", "postgres"])
async def test_without_the_store_calls_go_on_and_metrics_health_and_one_line_of_the_log_say_so(
    gateway: GatewayFactory, kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    server: Any = request.getfixturevalue(f"{kind}_server")
    shared = InRedis(server) if kind == "redis" else InPostgres(server, tmp_path)
    labels = f'{{pool="demo",cache_type="{shared.kind}"}}'
    errors = f'mcppool_{shared.kind}_errors_total{{pool="demo",kind="connection"}}'
    name = "redis" if kind == "redis" else "cache"
    async with HintServer() as replica:
        pools = pool_toml(replica.url, sections=f"[pools.cache]\n{shared.section()}\n{READ_CACHED}")
        front = await asyncio.to_thread(gateway, pools)
        numbers = [(await post(front, "read"))[1]["result"]["number"] for _ in range(5)]
        assert len(set(numbers)) < 5
        await asyncio.to_thread(server.kill)
        for i in range(5):
            status, _ = await post(front, "read", other=i)
            assert status == 200
        health = json.loads((await asyncio.to_thread(front.get, "/health"))[1])
        assert health["components"]["cache"]["status"] == "degraded"
        assert "calls are not cached" in health["components"]["cache"]["message"]
        assert health["overall"] != "unhealthy"
        assert await asyncio.to_thread(front.metric, f"mcppool_cache_up{labels}") == 0.0
        assert await asyncio.to_thread(front.metric, errors) >= 1.0
        assert front.log.count(f"{name}_away") == 1
        await server.restart()
        await until(lambda: front.log.count(f"{name}_back") == 1, "it is back")

        async def number() -> int:
            answer: int = (await post(front, "read", again=1))[1]["result"]["number"]
            return answer

        async with asyncio.timeout(60):
            while await number() != await number():
                pass
