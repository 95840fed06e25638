"""A person with write access to a pool's Redis learns nothing from it, and cannot make a gateway say or do anything."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from redis.asyncio import Redis

from mcppool.cache.redis_link import RedisLink
from mcppool.cache.sealed_answer import MAX_VALUE
from mcppool.cache.shared_rates import SharedRates
from mcppool.cache.shared_sessions import NOTHING_KNOWN, SharedSession, SharedSessions
from mcppool.policy.token_bucket import RateLimit
from mcppool.wire.sealing import Key, KeyRing
from mcppool.wire.vault import Vault
from tests.conftest import GatewayFactory
from tests.integration.cached import HintServer
from tests.integration.raw_session import RawSession
from tests.integration.test_cache_redis import READ_CACHED, section
from tests.integration.test_failover import post
from tests.integration.test_shared_redis import alive, forget, gateways, sharing, works
from tests.servers import pool_toml, serving
from tests.servers.faults import FaultServer
from tests.servers.handshakes import Handshakes
from tests.servers.redis_server import RedisServer
from tests.waiting import until

RINGS = [KeyRing([Key(name, name.encode() * 32)]) for name in "ab"]
TOKEN = "a.abc"
OLD, NEW = ("http://a/mcp", "one", 1.0), ("http://b/mcp", "two", 2.0)
SECRET = "s3cr3t-in-arguments"


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with serving(RedisServer(tmp_path_factory.mktemp("redis"))) as (server,):
        yield server


@pytest.fixture
async def raw(redis: RedisServer) -> AsyncIterator[Redis]:
    """Another user who can read and write everything."""
    async with Redis.from_url(redis.address) as client:
        await client.flushall()
        yield client


@pytest.fixture
async def link(redis: RedisServer, raw: Redis) -> AsyncIterator[RedisLink]:
    link = RedisLink(redis.address, "mcppool:p", {}, RINGS[0], timeout=10.0)
    yield link
    await link.close()


async def written(link: RedisLink) -> None:
    await until(lambda: not link.writing, "it is written")


async def everything(raw: Redis) -> dict[bytes, bytes]:
    return {name: await raw.get(name) for name in await raw.keys("*") if await raw.type(name) == b"string"}


async def spoil(raw: Redis, name: bytes, how: str) -> None:
    """Replace the value under `name`."""
    there = await raw.get(name) or b""
    life = await raw.pttl(name)
    values = {
        "empty": b"",
        "short": there[:5],
        "cut": there[:-1],
        "flipped": there[:-1] + bytes([there[-1] ^ 1]) if there else b"?",
        "longer": there + b"x",
        "zeros": bytes(len(there)),
        "json": b'["http://evil/mcp","x\\r\\nX-Injected: yes",4e9]',
        "header": b"x\r\nX-Injected: yes",
        "huge": b"x" * (8 * MAX_VALUE),
        "other": Vault(b"x" * 32, b"redis").seal(b"{}", name),
    }
    await raw.delete(name)
    if how == "list":
        await raw.rpush(name, "x")  # type: ignore[misc]
    elif how == "hash":
        await raw.hset(name.decode(), "home", '["http://evil/mcp","x\\r\\nX-Injected: yes",4e9]')  # type: ignore[misc]
    elif how != "gone":
        await raw.set(name, values[how], px=life if life > 0 else None)


SPOILT = [
    "gone",
    "empty",
    "short",
    "cut",
    "flipped",
    "longer",
    "zeros",
    "json",
    "header",
    "huge",
    "other",
    "list",
    "hash",
]


async def test_nothing_of_answers_sessions_or_clients_can_be_read_in_redis(
    gateway: GatewayFactory, redis: RedisServer, keys: str, session: RawSession, raw: Redis
) -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as legacy, HintServer() as modern:
        (front,) = await gateways(gateway, 1, pool_toml(legacy.url, sections=sharing(redis)), keys)
        await session.open(front)
        forget(handshakes)
        await works(session, front)
        message = {"jsonrpc": "2.0", "id": 9, "method": "resources/subscribe", "params": {"uri": "file:///private"}}
        assert (await session.post(front, message))[0] == 200
        cached = pool_toml(modern.url, sections=f"[pools.cache]\n{section(redis)}\n{READ_CACHED}")
        (front,) = await gateways(gateway, 1, cached, keys)
        await post(front, "read", secret=SECRET)
        async with asyncio.timeout(60):
            while not {b":s:", b":a:"} <= {name[12:15] for name in await raw.keys("*")}:
                await asyncio.sleep(0.01)
        (home,) = (id for id, log in handshakes.sessions.items() if log in alive(handshakes))
        text = b"\0".join(part for item in (await everything(raw)).items() for part in item)
        for said in (SECRET, "file:///private", legacy.url, home, session.id, "mcppool-tests", "structuredContent"):
            assert said.encode() not in text, said


async def test_a_new_first_key_keeps_the_session_data_of_the_old_one(redis: RedisServer, link: RedisLink) -> None:
    old, new = (ring.keys[0] for ring in RINGS)
    other = RedisLink(redis.address, "mcppool:p", {}, KeyRing([new, old]), timeout=10.0)
    link.renew_ring(KeyRing([old, new]))
    shared, again = SharedSessions(link, 60.0), SharedSessions(other, 60.0)
    await shared.move(TOKEN, OLD, NEW, None, ())
    assert await again.find(TOKEN) == SharedSession(NEW)
    other.renew_ring(KeyRing([new]))
    assert await again.find(TOKEN) == NOTHING_KNOWN, "the key of that id is gone, and so is the id"
    await other.close()


@pytest.mark.parametrize("how", SPOILT)
async def test_session_data_from_another_writer_is_ignored(link: RedisLink, raw: Redis, how: str) -> None:
    shared = SharedSessions(link, 60.0)
    assert await shared.move(TOKEN, OLD, NEW, "debug", ("file:///a",)) == SharedSession(
        NEW, False, "debug", ("file:///a",)
    )
    name = link.name(b"s", TOKEN.encode())
    await spoil(raw, name, how)
    assert await shared.find(TOKEN) == NOTHING_KNOWN
    shared.note(TOKEN, log_level="error")
    await written(link)
    assert await shared.find(TOKEN) == SharedSession(None, False, "error")
    await spoil(raw, name, how)
    assert await shared.move(TOKEN, OLD, NEW, None, ()) == SharedSession(NEW)
    await spoil(raw, name, how)
    shared.end(TOKEN, 60.0)
    await written(link)
    assert await shared.find(TOKEN) == SharedSession(ended=True)
    assert link.trouble is None


async def test_subscriptions_that_two_gateways_add_at_once_are_all_shared(redis: RedisServer, link: RedisLink) -> None:
    other = RedisLink(redis.address, "mcppool:p", {}, RINGS[0], timeout=10.0)
    both = [SharedSessions(each, 60.0) for each in (link, other)]
    for i in range(20):
        for number, shared in enumerate(both):
            shared.note(TOKEN, add=f"file:///{number}/{i}")
    for each in (link, other):
        await written(each)
    found = await both[0].find(TOKEN)
    assert found is not None
    assert set(found.subscriptions) == {f"file:///{number}/{i}" for number in (0, 1) for i in range(20)}
    await other.close()


async def test_a_tombstone_written_during_an_outage_of_redis_is_sent_when_it_is_back(
    redis: RedisServer, link: RedisLink
) -> None:
    link._timeout = 0.2
    shared = SharedSessions(link, 60.0)
    redis.pause()
    assert await shared.find(TOKEN) is None
    shared.end(TOKEN, 60.0)
    redis.resume()
    await until(lambda: link.trouble is None, "it is back")
    link._timeout = 10.0
    assert await shared.find(TOKEN) == SharedSession(ended=True)


async def test_renewing_session_data_does_not_shorten_a_tombstone(link: RedisLink, raw: Redis) -> None:
    shared = SharedSessions(link, 60.0)
    shared.end(TOKEN, 3600.0)
    await written(link)
    shared.renew(TOKEN)
    await written(link)
    assert await raw.ttl(link.name(b"s", TOKEN.encode())) > 3000


@pytest.mark.parametrize(
    "bucket",
    [
        {"tokens": "nonsense", "at": "1"}, {"tokens": "-1e300", "at": "0"}, {"tokens": "nan", "at": "nan"},
        {"tokens": "1e300", "at": "0"}, {"tokens": "0"}, {"at": "1"}, {"tokens": "0", "at": "x\r\n"}, "string",
    ],
)  # fmt: skip
async def test_an_invalid_bucket_counts_as_full(link: RedisLink, raw: Redis, bucket: dict[str, str] | str) -> None:
    rates, limit = SharedRates(link), RateLimit("pool", "", 0.001, 3)
    name = link.name(b"r", b"pool\0")
    if isinstance(bucket, str):
        await raw.set(name, bucket)
    else:
        await raw.hset(name.decode(), mapping=bucket)  # type: ignore[misc]
    for _ in range(3):
        assert await rates.take([limit]) == (None, 0.0)
    refused = await rates.take([limit])
    assert refused is not None
    assert refused[0] is limit
    assert link.trouble is None


async def test_a_gateway_goes_on_whatever_is_in_redis(
    gateway: GatewayFactory, redis: RedisServer, keys: str, session: RawSession, raw: Redis
) -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server:
        pools = pool_toml(server.url, sections=sharing(redis))
        fronts = await gateways(gateway, 2, pools, keys)
        await session.open(fronts[0])
        for how in ("json", "list", "flipped", "huge"):
            forget(handshakes)
            for front in fronts:
                await works(session, front)
            for name in await raw.keys("*"):
                await spoil(raw, name, how)
            fronts += await gateways(gateway, 1, pools, keys)
            await works(session, fronts[-1])
        assert not any("x-injected" in request.headers for request in server.requests)
        for front in fronts:
            assert "defect" not in front.log
            health = json.loads((await asyncio.to_thread(front.get, "/health"))[1])
            assert health["components"]["redis"]["status"] == "healthy"
