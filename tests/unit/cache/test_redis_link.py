"""The link to Redis: calls wait for one fault at most, and the link comes back by itself."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable
from functools import partial
from time import monotonic
from typing import cast

import pytest

from mcppool.cache import redis
from mcppool.cache.redis import RedisStore
from mcppool.cache.redis_link import RedisLink
from mcppool.cache.shared_rates import SharedRates
from mcppool.cache.shared_sessions import NOTHING_KNOWN, SharedSessions
from mcppool.cache.store import CachedAnswer, CacheHit
from mcppool.cache.store_link import MAX_WRITING_BYTES
from mcppool.policy.token_bucket import RateLimit
from mcppool.wire.sealing import Key, KeyRing
from tests.servers import free_port
from tests.servers.process import HOST
from tests.waiting import until

RING = KeyRing([Key("k", bytes(32))])


class Peer:
    """Stands for a Redis: answers each command with `answer`, not at all if that is empty."""

    def __init__(self, answer: bytes = b"+OK\r\n") -> None:
        self.answer = answer
        self.heard = 0
        self.port = free_port()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while data := await reader.read(65536):
                commands = sum(line.startswith(b"*") for line in data.split(b"\r\n"))
                self.heard += commands
                writer.write(self.answer * commands)

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[Peer]:
        server = await asyncio.start_server(self._serve, HOST, self.port)
        try:
            yield self
        finally:
            server.close()


@contextlib.asynccontextmanager
async def link_to(peer: Peer, *, timeout: float = 5.0) -> AsyncIterator[tuple[RedisLink, list[str | None]]]:
    link = RedisLink(f"redis://{HOST}:{peer.port}/0", "prefix", {}, RING, timeout=timeout)
    reports: list[str | None] = []
    link.reports.append(reports.append)
    try:
        yield link, reports
    finally:
        await link.close()


async def ask(link: RedisLink) -> object:
    return await link.attempt(lambda: command(link))


def command(link: RedisLink) -> Awaitable[object]:
    return cast("Awaitable[object]", link.client.echo("x"))


async def test_the_result_of_an_operation_is_returned() -> None:
    async with Peer().serving() as peer, link_to(peer) as (link, reports):
        assert await ask(link) in (b"OK", True)
        assert (link.trouble, reports, link.errors) == (None, [], {})


async def test_calls_wait_once_for_a_silent_peer() -> None:
    async with Peer(b"").serving() as peer, link_to(peer, timeout=0.1) as (link, reports):
        begun = 0

        async def operation() -> object:
            nonlocal begun
            begun += 1
            return await command(link)

        began = monotonic()
        assert await link.attempt(operation) is None
        assert monotonic() - began >= 0.1
        assert [await link.attempt(operation) for _ in range(20)] == [None] * 20
        assert begun == 1, "nobody asks any more"
        assert link.errors == {"timeout": 1}
        assert reports == ["no answer within 0.1 s"]


async def test_operations_that_fail_together_are_one_report() -> None:
    async with Peer(b"").serving() as peer, link_to(peer, timeout=0.1) as (link, reports):
        assert await asyncio.gather(*(ask(link) for _ in range(5))) == [None] * 5
        assert len(reports) == 1
        assert link.errors == {"timeout": 5}


async def test_when_it_is_back_pending_writes_come_before_other_uses() -> None:
    peer = Peer()
    async with peer.serving():
        pass
    async with link_to(peer) as (link, reports):
        prepared: list[str | None] = []

        async def prepare() -> None:
            prepared.append(link.trouble)

        link.before_use.append(prepare)
        assert await ask(link) is None
        assert link.errors == {"connection": 1}
        async with peer.serving():
            await until(lambda: link.trouble is None, "it is back")
            assert prepared == [reports[0]], "while it was still away for all others"
            assert reports[1:] == [None]
            assert await ask(link) is not None


async def test_background_operations_do_not_start_while_it_is_away() -> None:
    async with Peer(b"").serving() as peer, link_to(peer, timeout=0.05) as (link, _):
        link.later(lambda: command(link))
        assert link.writing == 1
        await until(lambda: link.trouble is not None, "it is away")
        begun: list[str] = []

        async def operation() -> None:
            begun.append("in the background")

        link.later(operation)
        await until(lambda: not link.writing, "nothing is left")
        assert begun == []


async def test_a_closed_link_does_not_look_for_redis_any_more() -> None:
    async with Peer(b"").serving() as peer, link_to(peer, timeout=60.0) as (link, reports):
        waiting = asyncio.ensure_future(ask(link))
        await until(lambda: peer.heard > 0, "it was asked")
        await link.close()
        assert await waiting is None
        assert reports == []


@pytest.mark.parametrize("answer", [b"$x\r\n", b"*1\r\n" * 2000, b"*-5\r\n", b"%999999999\r\n", b"nonsense\r\n"])
async def test_any_answer_of_a_peer_is_a_fault_of_redis_and_not_of_the_call(answer: bytes) -> None:
    async with Peer(answer).serving() as peer, link_to(peer, timeout=1.0) as (link, _):
        with contextlib.suppress(AssertionError):  # some of it may be an answer that says nothing
            assert await ask(link) is None
            assert link.trouble is not None


async def test_writes_that_may_be_left_out_are_bounded_in_bytes() -> None:
    async with Peer(b"").serving() as peer, link_to(peer, timeout=5.0) as (link, _):
        assert not link.busy
        for _ in range(4):
            link.later(lambda: command(link), size=MAX_WRITING_BYTES // 4)
        assert link.busy
        await link.close()
        assert not link.busy


async def test_names_begin_with_the_prefix_and_show_nothing_of_the_key() -> None:
    async with Peer().serving() as peer, link_to(peer) as (link, _):
        name = link.name(b"s", b"secret")
        assert name.startswith(b"prefix:s:")
        assert b"secret" not in name
        assert name != link.name(b"r", b"secret")


async def test_a_missing_password_file_is_reported() -> None:
    with pytest.raises(OSError, match="nowhere"):
        RedisLink("redis://127.0.0.1:1", "p", {}, RING, timeout=1.0, password_file="/nowhere/at/all")


async def test_operations_of_one_order_come_one_after_another() -> None:
    async with Peer().serving() as peer, link_to(peer) as (link, _):
        order, done = asyncio.Lock(), list[int]()

        async def step(number: int) -> None:
            await asyncio.gather(*(command(link) for _ in range(3 - number)))
            done.append(number)

        for number in range(3):
            link.later(partial(step, number), order)
        await until(lambda: not link.writing, "all are done")
        assert done == [0, 1, 2]


@pytest.mark.parametrize(
    "answer",
    [
        b":5\r\n",
        b"*1\r\n:1\r\n",
        b"*2\r\n:1\r\n$3\r\ninf\r\n",
        b"*2\r\n:7\r\n$1\r\n1\r\n",
        b"*2\r\n$1\r\n1\r\n$1\r\n1\r\n",
        b"$3\r\nabc\r\n",
    ],
    ids=["number", "list", "endless wait", "no such limit", "text for a number", "text"],
)
async def test_answers_that_redis_never_gives_are_those_of_a_redis_that_is_away(answer: bytes) -> None:
    limits = [RateLimit("pool", "p", 5.0, 5.0)]
    async with Peer(answer).serving() as peer:
        for use in (
            lambda link: RedisStore(link).get(b"key", "tag"),
            lambda link: SharedRates(link).take(limits),
            lambda link: SharedSessions(link, 60.0).find("a.x"),
        ):
            async with link_to(peer) as (link, _):
                assert await use(link) in (None, NOTHING_KNOWN, CacheHit(None, 0.0, None))


async def test_a_lifetime_of_more_than_64_bits_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    async with (
        Peer(b"$8\r\nabcdefgh\r\n" * 3 + b":1" + b"0" * 400 + b"\r\n").serving() as peer,
        link_to(peer) as (link, _),
    ):
        kept = CachedAnswer(b"{}", 1.0, 0.0, None)
        store = RedisStore(link)
        monkeypatch.setattr(redis, "unsealed", lambda *_: kept)
        assert await store.get(b"key", "tag") == CacheHit(None, 0.0, None)
