"""The channel between supervisor and worker: questions, answers, news, and callers who give up."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from mcppool.pipeline.peers import Lesson, News
from mcppool.policy.token_bucket import RateLimit
from mcppool.upstream.failures import LimitReached
from mcppool.workers.channel import Channel, ChannelClosed
from mcppool.workers.peers import PeerExchange
from mcppool.workers.shared_state import SharedState
from tests.waiting import until

Join = Callable[[Channel, Channel], Awaitable[None]]


def ignore(_name: str, _arguments: list[Any]) -> None:
    """An end that neither answers nor listens."""


async def nothing_to_spare(_worker: int, _pool: str, _key: str) -> int:
    """A worker that has no spare places."""
    return 0


@pytest.fixture
async def join() -> AsyncIterator[Join]:
    """Joins two channels, and closes them at the end."""
    opened: list[Channel] = []

    async def joined(ours: Channel, theirs: Channel) -> None:
        for channel, sock in zip((ours, theirs), socket.socketpair(), strict=True):
            sock.setblocking(False)
            await channel.open(sock)
            opened.append(channel)

    yield joined
    for channel in opened:
        channel.close()
    for channel in opened:
        await channel.closed.wait()


async def worker_and_state(join: Join) -> tuple[PeerExchange, SharedState, Channel]:
    state = SharedState(1, nothing_to_spare)
    supervisor = Channel(lambda name, args: state.answer(1, name, args), lambda name, args: state.hear(1, name, args))
    worker = Channel(ignore, ignore)
    await join(worker, supervisor)
    return PeerExchange(worker), state, supervisor


async def test_a_question_that_is_given_up_at_once_gets_an_answer_too_so_that_it_is_forgotten(join: Join) -> None:
    given_back: list[Any] = []

    async def answer() -> int:
        return 1

    one, other = Channel(ignore, ignore), Channel(lambda _name, _arguments: answer(), ignore)
    await join(one, other)
    asking = one.ask("places", on_abandoned=given_back.append)
    waiting = asking.send(None)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        asking.throw(asyncio.CancelledError())
    await until(lambda: given_back, "both messages left in one turn of the loop")
    assert given_back == [None]
    assert await one.ask("places") == 1


async def test_large_messages_arrive_whole_and_in_order(join: Join) -> None:
    heard: list[Any] = []
    one = Channel(ignore, ignore)
    two = Channel(lambda name, args: [name, *args], lambda name, args: heard.append((name, args)))
    await join(one, two)
    for number in range(50):
        one.tell("n", number, b"x" * 40_000)
    assert await one.ask("echo", {"a": 1}) == ["echo", {"a": 1}]
    assert [args[0] for _, args in heard] == list(range(50))


async def test_questions_end_when_the_other_process_does(join: Join) -> None:
    waiting = asyncio.Event()

    async def never() -> None:
        waiting.set()
        await asyncio.Event().wait()

    one = Channel(ignore, ignore)
    two = Channel(lambda _name, _args: never(), ignore)
    await join(one, two)
    asking = asyncio.create_task(one.ask("anything"))
    await waiting.wait()
    two.close()
    with pytest.raises(ChannelClosed):
        await asking
    with pytest.raises(ChannelClosed):
        await one.ask("anything")


async def test_a_call_that_gives_up_leaves_no_place_behind(join: Join) -> None:
    exchange, state, _ = await worker_and_state(join)
    limiter = exchange.of("demo").limiter("limits.pool", "pool", 1, 5)
    loop = asyncio.get_running_loop()
    await limiter.enter(loop.time() + 60)
    waiting = asyncio.create_task(limiter.enter(loop.time() + 60))
    await until(lambda: state.places._gates["demo", "pool"].limiter.waiting == 1, "it waits at the supervisor")
    waiting.cancel()
    limiter.leave()  # its place may be given to the call that has just given up
    await asyncio.gather(waiting, return_exceptions=True)
    await until(lambda: len(state.places) == 0, "no place is taken")
    assert (limiter.inside, limiter.waiting) == (0, 0)


async def test_a_refusal_is_that_of_a_limit(join: Join) -> None:
    exchange, _, _ = await worker_and_state(join)
    limiter = exchange.of("demo").limiter("limits.pool", "pool", 1, 0)
    until_then = asyncio.get_running_loop().time() + 60
    await limiter.enter(until_then)
    with pytest.raises(LimitReached, match=r"limits\.pool: 1 call in flight"):
        await limiter.enter(until_then)


async def test_sessions_and_proofs_are_known_to_all(join: Join) -> None:
    exchange, state, _ = await worker_and_state(join)
    peers = exchange.of("demo")
    sessions = peers.sessions()
    sessions.life = 60.0
    assert await peers.first_use(b"digest", 60) is True
    assert await peers.first_use(b"digest", 60) is False
    moved = await sessions.move("token", ("http://a", "s", 1.0), ("http://b", "t", 2.0), "info", ("u",))
    assert moved is not None
    assert moved.home == ("http://b", "t", 2.0)
    sessions.note("token", add="v")
    found = await sessions.find("token")
    assert found is not None
    assert found.subscriptions == ("u", "v")
    sessions.end("token", 60.0)
    found = await sessions.find("token")
    assert found is not None
    assert found.ended
    assert len(state.sessions) == 1


async def test_news_reaches_the_pool_that_it_is_about_and_tells_unknown_clients_apart(join: Join) -> None:
    exchange, _, supervisor = await worker_and_state(join)
    heard: list[News] = []
    peers = exchange.of("demo")
    peers.hear(heard.append)
    exchange.heard(2, "other", [Lesson.BAD, "http://a"])
    exchange.heard(2, "demo", list(News(Lesson.BAD, "http://a", "read", "#5", "10.0.0.1")))
    exchange.heard(3, "demo", list(News(Lesson.RESTS, "http://a", client="alice", seconds=1.0)))
    assert [(news.what, news.client) for news in heard] == [(Lesson.BAD, "2#5"), (Lesson.RESTS, "alice")]
    peers.close()
    exchange.heard(2, "demo", list(News(Lesson.BAD, "http://a")))
    assert len(heard) == 2
    supervisor.close()


async def test_without_the_supervisor_a_worker_counts_alone(join: Join) -> None:
    exchange, _, supervisor = await worker_and_state(join)
    supervisor.close()
    await exchange.channel.closed.wait()
    peers = exchange.of("demo")
    assert await peers.take([RateLimit("pool", "", 1.0, 1.0)]) is None
    assert await peers.first_use(b"digest", 60) is None
    assert await peers.sessions().find("token") is None
    await peers.limiter("limits.pool", "pool", 0, 0).enter(0.0)
