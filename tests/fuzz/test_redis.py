"""For any answers of Redis, or of another server at its address: none is trusted, no call waits, nothing stays
behind."""

from __future__ import annotations

import asyncio
import math
import struct

import pytest
from hypothesis import strategies as st
from redis import Redis

from mcppool.cache.redis import RedisStore
from mcppool.cache.redis_link import RedisLink
from mcppool.cache.shared_rates import SharedRates
from mcppool.cache.shared_sessions import NOTHING_KNOWN, SharedSessions
from mcppool.cache.store import CachedAnswer
from mcppool.policy.token_bucket import RateLimit
from mcppool.wire.sealing import Key, KeyRing
from tests.fuzz.pieces import broken
from tests.fuzz.runs import fuzz
from tests.fuzz.scripted_redis import ScriptedRedis
from tests.fuzz.target import DEFECT, INITIALIZE, Target, in_session, modern, well, whole
from tests.waiting import until

RINGS = [KeyRing([Key(name, name.encode() * 32) for name in names]) for names in ("a", "ab")]
LIMIT = RateLimit("pool", "p", 5.0, 5.0)
RESP_PARTS = [
    b"\r\n", b"\r", b"\n", b"$-1\r\n", b"*-1\r\n", b"$5\r\n", b"$999999999999\r\n", b"$-5\r\n", b"*3\r\n",
    b"*999999999\r\n",
    b":1\r\n", b":-1\r\n", b":" + b"9" * 5000 + b"\r\n", b"*1\r\n" * 3000, b"+OK\r\n", b"-ERR x\r\n",
    b"-WRONGTYPE x\r\n",
    b"-NOSCRIPT x\r\n", b"-MOVED 1 127.0.0.1:1\r\n", b"-READONLY x\r\n", b"-LOADING x\r\n", b"-NOAUTH x\r\n",
    b"-\r\n", b"-\xff\r\n",
    b"%1\r\n", b"~1\r\n", b"#t\r\n", b",nan\r\n", b"_\r\n", b"(9\r\n", b"!3\r\nERR\r\n", b"=7\r\ntxt:abc\r\n",
    b">2\r\n", b"|1\r\n",
]  # fmt: skip


def bulk(value: bytes) -> bytes:
    return b"$%d\r\n%b\r\n" % (len(value), value)


bodies = st.one_of(
    st.sampled_from(
        [b"", b"0", b"-1", b"x\r\nX-Injected: yes", b"\x01" + bytes(60), b"\x02" * 8, b"nan", b"inf", b"1e999"]
    ),
    st.binary(min_size=8, max_size=8),
    st.binary(max_size=80).map(lambda tail: b"\x01" + tail),
    st.just(b"\x01" + b"x" * 1_100_000),
    st.builds(
        struct.pack, st.just(">BdddII"), st.just(2), st.floats(), st.floats(), st.floats(), st.just(1), st.just(2)
    ),
)
plain = st.one_of(
    bodies.map(bulk),
    bodies.map(bulk),
    st.just(b"$-1\r\n"),
    st.integers(-(2**70), 2**70).map(lambda number: b":%d\r\n" % number),
    st.sampled_from(RESP_PARTS),
)
arrays = st.recursive(
    plain,
    lambda inner: st.lists(inner, max_size=4).map(lambda items: b"*%d\r\n%b" % (len(items), b"".join(items))),
    max_leaves=5,
)
replies = st.one_of(arrays, arrays, broken(arrays, RESP_PARTS, most=1))


async def use(redis: ScriptedRedis, ring: KeyRing) -> None:
    """All that a gateway does with Redis."""
    link = RedisLink(redis.address, "mcppool:p", {}, ring, timeout=0.2)
    try:
        store, sessions, rates = RedisStore(link), SharedSessions(link, 60.0), SharedRates(link)
        found = await store.get(b"key", "tag")
        assert found.kept is None
        assert found.mark is None or isinstance(found.mark, bytes)
        if found.mark is not None:
            store.put(b"key", "tag", CachedAnswer(b"{}", 1.0, 0.0, None), found.mark)
        taken = await rates.take([LIMIT])
        assert taken is None or taken == (None, 0.0) or (taken[0] is LIMIT and 0 <= taken[1] < math.inf)
        assert await sessions.find("a.x") in (None, NOTHING_KNOWN)
        moved = await sessions.move("a.x", ("a", "b", 1.0), ("c", "d", 2.0), "info", ("file:///x",))
        assert moved is None or moved == NOTHING_KNOWN or moved.home == ("c", "d", 2.0)
        sessions.note("a.x", log_level="debug", add="file:///y", drop="file:///x")
        sessions.renew("a.x")
        sessions.end("a.x", 9.0)
        store.invalidate(("tag", "other"))
        await until(lambda: not link._writing, "it is written")
    finally:
        await link.close()


def test_nothing_at_the_address_of_redis_is_believed(seconds: float) -> None:
    problems: list[dict[str, object]] = []

    async def example(redis: ScriptedRedis, given: list[bytes], ring: KeyRing) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context))
        redis.replies.clear()
        redis.replies.extend(given)
        before = asyncio.all_tasks()
        async with asyncio.timeout(60):
            await use(redis, ring)
            await until(lambda: len(asyncio.all_tasks() - before) <= 1, "no task is left but that of the connection")
        assert not problems

    with asyncio.Runner() as runner:
        redis = runner.run(ScriptedRedis().__aenter__())
        fuzz(
            "redis",
            lambda given, ring: runner.run(example(redis, given, RINGS[ring])),
            st.lists(replies, max_size=14),
            st.integers(0, 1),
            examples=40,
            seconds=seconds,
        )
        assert redis.asked > 40
        runner.run(redis.__aexit__(None, None, None))


NUMBERS = [b"nan", b"-inf", b"1e999", b"-1", b"", b"x", b"0x10", b"9" * 400, b"5.5"]
changes = st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 50), st.binary(max_size=20)).map(list), max_size=3)


def spoil(raw: Redis, name: bytes, changes: list[tuple[int, int, bytes]], numbers: list[bytes]) -> None:
    """Change the value under a name, of any type."""
    if raw.type(name) == b"hash":
        raw.hset(name.decode(), mapping={"tokens": numbers[0], "at": numbers[1]})
        return
    value, life = raw.get(name), raw.pttl(name)
    if not isinstance(value, bytes) or not isinstance(life, int):
        return  # it has just expired
    for at, cut, part in changes:
        at = at % (len(value) + 1)
        value = value[:at] + part + value[at + cut :]
    raw.set(name, value, px=life if life > 0 else None)


def test_values_in_redis_are_changed_by_another_writer(target: Target, seconds: float) -> None:
    if target.redis is None:
        pytest.skip("redis-server is missing; scripts/install-debian-packages installs it")
    calls = [modern("tools/call", {"name": "read", "arguments": {}}), INITIALIZE, in_session("ping"), well("redis")]
    changed = 0
    with Redis.from_url(target.redis.address) as raw:

        def one(changes: list[tuple[int, int, bytes]], numbers: list[bytes]) -> None:
            nonlocal changed
            for name in raw.keys("*"):
                spoil(raw, name, changes, numbers)
                changed += 1
            for call in calls:
                got = target.say([call], "redis", enough=whole)
                assert got.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 404 ", b"HTTP/1.1 429 ")), got
                assert DEFECT not in got
            target.demand_health()

        numbers = st.lists(st.sampled_from(NUMBERS), min_size=2, max_size=2)
        fuzz("redis_values", one, changes, numbers, examples=20, seconds=seconds)
    assert changed > 20
    if seconds:  # else at the end of all tests
        target.demand_nothing_left()
