"""Two gateways with one Redis: a session that moved or was ended at one is known at the other, and rates are of both.

The servers keep sessions and can be made to forget them all at once, as by a restart.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import aiohttp
import pytest

from mcppool.cache.redis_link import RedisLink
from mcppool.cache.shared_sessions import SharedSession, SharedSessions
from mcppool.pipeline.sessions.key_file import read_key_file
from mcppool.wire.sealing import parse_keys
from tests.conftest import GatewayFactory
from tests.integration.raw_session import RawSession, call
from tests.servers import Gateway, modern_call, pool_toml, serving, urls_of
from tests.servers.faults import Exchange, FaultServer
from tests.servers.handshakes import Handshakes, SessionLog
from tests.servers.kinds import Replica
from tests.servers.redis_server import RedisServer
from tests.waiting import until

ROOM = "[pools.connection_pool]\nmax_connections = 20\n"
CLIENT = "mcppool-tests"


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with serving(RedisServer(tmp_path)) as (server,):
        yield server


def sharing(redis: RedisServer, *, timeout: str = "10s") -> str:
    where = f'redis_url = "{redis.address}"\nredis_timeout = "{timeout}"\n'
    return f'{ROOM}[pools.sessions]\nstore = "redis"\n[pools.cache]\ntype = "none"\n{where}'


def alive(handshakes: Handshakes) -> list[SessionLog]:
    """The upstream sessions with the client's own name that the server knows."""
    return [
        log
        for id, log in handshakes.sessions.items()
        if log.client == CLIENT and not log.ended and id not in handshakes.forgotten
    ]


def forget(handshakes: Handshakes) -> None:
    handshakes.forgotten.update(handshakes.sessions)


async def told(redis: RedisServer, keys: str, session: RawSession, wanted: Callable[[SharedSession], bool]) -> None:
    """Wait until the session's data in Redis is as wanted."""
    ring = parse_keys(read_key_file(keys.partition('"')[2].rstrip('"')))
    link = RedisLink(redis.address, "mcppool:demo", {}, ring, timeout=10.0)
    shared = SharedSessions(link, 60.0)
    try:
        async with asyncio.timeout(60):
            while (found := await shared.find(session.id)) is None or not wanted(found):
                await asyncio.sleep(0.01)
    finally:
        await link.close()


async def gateways(factory: GatewayFactory, number: int, pools: str, listener: str) -> list[Gateway]:
    return [await asyncio.to_thread(factory, pools, listener=listener) for _ in range(number)]


async def works(session: RawSession, front: Gateway) -> None:
    status, answer = await session.post(front, call("read"))
    assert (status, "result" in answer) == (200, True), answer


async def test_a_session_that_one_gateway_has_moved_is_taken_over_by_those_that_knew_it_and_those_that_did_not(
    gateway: GatewayFactory, redis: RedisServer, keys: str, session: RawSession
) -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server:
        pools = pool_toml(server.url, sections=sharing(redis))
        one, two, three = await gateways(gateway, 3, pools, keys)
        await session.open(one)
        await works(session, two)
        forget(handshakes)
        await works(session, one)
        (moved,) = alive(handshakes)
        await works(session, two)
        await works(session, three)
        assert alive(handshakes) == [moved], "no second upstream session"
        assert len(moved.calls) == 3


async def test_a_session_whose_replica_was_killed_lives_at_one_place_for_both_gateways(
    gateway: GatewayFactory, replicas: tuple[Replica, ...], redis: RedisServer, keys: str, session: RawSession
) -> None:
    one, two = await gateways(gateway, 2, pool_toml(*urls_of(replicas), sections=sharing(redis)), keys)
    await session.open(one)
    home = await session.whoami(two)
    next(replica for replica in replicas if replica.name == home).kill()
    names = [await session.whoami(front) for front in (one, two, one, two)]
    assert len(set(names)) == 1
    assert names[0] != home


async def test_gateways_that_move_a_session_at_once_agree_and_the_slower_one_ends_its_own(
    gateway: GatewayFactory, redis: RedisServer, keys: str, session: RawSession
) -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server:
        fronts = await gateways(gateway, 2, pool_toml(server.url, sections=sharing(redis)), keys)
        await session.open(fronts[0])
        for front in fronts:
            await works(session, front)
        for _ in range(5):
            forget(handshakes)
            await asyncio.gather(*(works(session, front) for front in fronts for _ in range(2)))
            assert len(alive(handshakes)) == 1


class Together(Handshakes):
    """Answers `initialize` of the tests' client when two have asked."""

    def __init__(self) -> None:
        super().__init__()
        self.barrier: asyncio.Barrier | None = None

    async def __call__(self, exchange: Exchange) -> None:
        rpc = exchange.body if isinstance(exchange.body, dict) else {}
        client = rpc["params"]["clientInfo"]["name"] if rpc.get("method") == "initialize" else None
        if self.barrier is not None and client == CLIENT:
            await self.barrier.wait()
        await super().__call__(exchange)


async def test_of_two_new_homes_that_are_made_at_once_one_is_kept_and_the_other_ended(
    gateway: GatewayFactory, redis: RedisServer, keys: str, session: RawSession
) -> None:
    handshakes = Together()
    async with FaultServer(handshakes, everything=True) as server:
        fronts = await gateways(gateway, 2, pool_toml(server.url, sections=sharing(redis)), keys)
        await session.open(fronts[0])
        for front in fronts:
            await works(session, front)
        forget(handshakes)
        handshakes.barrier = asyncio.Barrier(2)
        await asyncio.gather(*(works(session, front) for front in fronts))
        (kept,) = alive(handshakes)
        assert kept.calls == ["read", "read"]
        assert [log.ended for log in handshakes.of(CLIENT)] in ([False, False, True], [False, True, False])


class FirstWaits(Handshakes):
    """Holds the first `initialize` of the tests' client since `door` was put there, until that is opened."""

    def __init__(self) -> None:
        super().__init__()
        self.door: asyncio.Event | None = None
        self.held = False

    async def __call__(self, exchange: Exchange) -> None:
        rpc = exchange.body if isinstance(exchange.body, dict) else {}
        client = rpc["params"]["clientInfo"]["name"] if rpc.get("method") == "initialize" else None
        if self.door is not None and client == CLIENT and not self.held:
            self.held = True
            await self.door.wait()
        await super().__call__(exchange)


async def test_a_move_that_another_call_has_learned_to_be_needless_is_undone(
    gateway: GatewayFactory, redis: RedisServer, keys: str, session: RawSession
) -> None:
    handshakes = FirstWaits()
    async with FaultServer(handshakes, everything=True) as server:
        one, two = await gateways(gateway, 2, pool_toml(server.url, sections=sharing(redis)), keys)
        await session.open(one)
        for front in (one, two):
            await works(session, front)
        forget(handshakes)
        handshakes.door = asyncio.Event()
        slow = asyncio.create_task(works(session, one))
        await until(lambda: handshakes.held, "the one moves it")
        await works(session, two)
        (kept,) = alive(handshakes)
        await works(session, one)
        handshakes.door.set()
        await slow
        await until(lambda: alive(handshakes) == [kept], "the new home of the one is ended")
        assert kept.calls == ["read", "read", "read"]


async def test_settings_made_at_one_gateway_are_restored_at_the_new_home_by_another(
    gateway: GatewayFactory, redis: RedisServer, keys: str, session: RawSession
) -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server:
        one, two = await gateways(gateway, 2, pool_toml(server.url, sections=sharing(redis)), keys)
        await session.open(one)
        await works(session, two)
        for number, (front, method, params) in enumerate(
            (
                (one, "logging/setLevel", {"level": "warning"}),
                (one, "resources/subscribe", {"uri": "file:///a"}),
                (two, "resources/subscribe", {"uri": "file:///b"}),
                (one, "resources/subscribe", {"uri": "file:///c"}),
                (one, "resources/unsubscribe", {"uri": "file:///c"}),
            )
        ):
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            assert (await session.post(front, message))[0] == 200
        uris = {"file:///a", "file:///b"}
        await told(redis, keys, session, lambda it: it.log_level == "warning" and set(it.subscriptions) == uris)
        forget(handshakes)
        before = len(server.requests)
        await works(session, two)
        said = [r.body for r in server.requests[before:] if isinstance(r.body, dict)]
        assert {b["params"]["uri"] for b in said if b.get("method") == "resources/subscribe"} == {
            "file:///a", "file:///b",
        }  # fmt: skip
        assert [b["params"]["level"] for b in said if b.get("method") == "logging/setLevel"] == ["warning"]


async def test_a_session_that_was_ended_at_one_gateway_is_404_at_all_and_not_reopened(
    gateway: GatewayFactory, redis: RedisServer, keys: str, session: RawSession
) -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server:
        pools = pool_toml(server.url, sections=sharing(redis))
        one, two, three = await gateways(gateway, 3, pools, keys)
        await session.open(one)
        await works(session, two)
        assert await session.delete(one) == 200
        await told(redis, keys, session, lambda it: it.ended)
        forget(handshakes)  # so that the server itself cannot tell that it was ended
        for front in (two, three, three):
            assert (await session.post(front, call("read")))[0] == 404
        assert await session.delete(three) == 404
        assert alive(handshakes) == []


@pytest.mark.parametrize("fault", ["hung", "gone"])
async def test_without_redis_sessions_go_on_and_move_at_each_gateway_and_it_is_seen(
    gateway: GatewayFactory, redis: RedisServer, keys: str, session: RawSession, fault: str
) -> None:
    handshakes = Handshakes()
    async with FaultServer(handshakes, everything=True) as server:
        pools = pool_toml(server.url, sections=sharing(redis, timeout="3s"))
        one, two = await gateways(gateway, 2, pools, keys)
        await session.open(one)
        if fault == "hung":
            redis.pause()
        else:
            redis.kill()
        for front in (one, two):
            await works(session, front)
        forget(handshakes)
        for front in (one, two, one, two):
            await works(session, front)
        assert len(alive(handshakes)) == 2, "each gateway has its own"
        health = json.loads((await asyncio.to_thread(one.get, "/health"))[1])
        assert health["components"]["redis"]["status"] == "degraded"
        assert await asyncio.to_thread(one.metric, 'mcppool_redis_up{pool="demo"}') == 0.0
        assert one.log.count("redis_away") == 1
        if fault == "hung":
            redis.resume()
        else:
            await redis.restart()
        await until(lambda: one.metric('mcppool_redis_up{pool="demo"}') == 1.0, "it is back")
        assert await session.delete(one) == 200


# --- rates -----------------------------------------------------------------------------------------------------------

RATE, BURST = 2, 5


def limited(redis: RedisServer, *, timeout: str = "10s") -> str:
    where = f'redis_url = "{redis.address}"\nredis_timeout = "{timeout}"\n'
    rate = f'store = "redis"\npool = {{requests_per_second = {RATE}, burst = {BURST}}}\n'
    return f'{ROOM}[pools.rate_limit]\n{rate}[pools.cache]\ntype = "none"\n{where}'


async def admitted(fronts: list[Gateway]) -> tuple[int, float]:
    """How many calls were answered, over how many seconds, when each client calls all the time: until the burst is
    over, and after it some calls were answered, and some refused."""
    counts: dict[int, int] = {200: 0, 429: 0}
    headers, body = modern_call("read", {})
    began = monotonic()

    async def client(http: aiohttp.ClientSession, front: Gateway) -> None:
        while counts[200] < BURST + 5 or counts[429] < 5:
            async with http.post(front.url, data=body, headers=headers) as response:
                answer: Any = json.loads(await response.read())
                counts[response.status] += 1
                assert response.status == 200 or answer["error"]["data"]["reason"] == "rate_limited"

    async with aiohttp.ClientSession() as http, asyncio.timeout(120):
        await asyncio.gather(*(client(http, front) for front in fronts for _ in range(2)))
    return counts[200], monotonic() - began


async def test_a_rate_holds_over_two_gateways_together(gateway: GatewayFactory, redis: RedisServer, keys: str) -> None:
    async with FaultServer() as server:
        fronts = await gateways(gateway, 2, pool_toml(server.url, sections=limited(redis)), keys)
        calls, took = await admitted(fronts)
        assert calls <= BURST + RATE * took + 1


async def test_without_redis_each_gateway_keeps_the_rate_by_itself(gateway: GatewayFactory, redis: RedisServer) -> None:
    async with FaultServer() as server:
        pools = pool_toml(server.url, sections=limited(redis, timeout="250ms"))
        fronts = await gateways(gateway, 2, pools, "")
        redis.pause()
        calls, took = await admitted(fronts)
        redis.resume()
        assert calls <= 2 * (BURST + RATE * took + 1)
