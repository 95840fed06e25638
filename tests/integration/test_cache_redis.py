"""Answers in a real Redis: shared by gateways, gone when they should be; without Redis calls go on, visibly."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from mcppool.cache.redis import RedisStore
from mcppool.cache.redis_link import RedisLink
from mcppool.cache.shared_rates import SharedRates
from mcppool.cache.shared_sessions import SharedSessions
from mcppool.policy.token_bucket import RateLimit
from mcppool.wire.sealing import Key, KeyRing, SessionClaims, seal
from tests.integration.cached import Client, HintServer, caching_pool
from tests.servers import serving
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
