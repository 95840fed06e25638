"""Places of a limit that workers keep to spare: the limit holds exactly, and most calls ask nobody."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.upstream.failures import LimitReached
from mcppool.workers import leases
from mcppool.workers.channel import Channel, ChannelClosed
from mcppool.workers.leases import Leases, SharedLimiter
from mcppool.workers.places import MAX_SPARE, Places
from mcppool.workers.shared_state import SharedState
from tests.waiting import until

LONG = 1_000_000.0
"""A loop time that never comes."""


class Worker:
    """A worker with one limit, joined with the supervisor's state."""

    def __init__(self, number: int, state: SharedState, capacity: int, queue: int) -> None:
        self.number = number
        self.state = state
        self.questions = 0
        self.told_leave = 0
        self.ours = Channel(lambda _, arguments: self.leases.call_back(*arguments), lambda *_: None)
        self.theirs = Channel(self._answer, self._hear)
        self.leases = Leases(self.ours)
        self.limiter = SharedLimiter(self.leases, "demo", "limits.pool", "pool", capacity, queue)

    def _answer(self, question: str, arguments: list[Any]) -> Any:
        self.questions += 1
        return self.state.answer(self.number, question, arguments)

    def _hear(self, news: str, arguments: list[Any]) -> None:
        self.told_leave += news == "leave"
        self.state.hear(self.number, news, arguments)

    async def open(self) -> None:
        for channel, sock in zip((self.ours, self.theirs), socket.socketpair(), strict=True):
            sock.setblocking(False)
            await channel.open(sock)

    async def enters(self) -> bool:
        """Whether a call gets a place at once."""
        try:
            await self.limiter.enter(LONG)
        except LimitReached:
            return False
        return True

    async def told(self) -> None:
        """Return when the supervisor knows all that this worker has told."""
        await self.ours.ask("find", "demo", "token")

    async def die(self) -> None:
        for channel in (self.ours, self.theirs):
            channel.close()
            await channel.closed.wait()
        self.state.places.gone(self.number)


@asynccontextmanager
async def gateway(count: int, capacity: int, queue: int = 0) -> AsyncIterator[list[Worker]]:
    """So many workers of one gateway."""
    workers: list[Worker] = []

    async def call_back(number: int, pool: str, key: str) -> int:
        try:
            given: int = await workers[number].theirs.ask("call_back", pool, key)
        except ChannelClosed:
            return 0
        return given

    state = SharedState(count, call_back)
    state.places = Places(count, call_back, patience=60)
    workers += [Worker(number, state, capacity, queue) for number in range(count)]
    for worker in workers:
        await worker.open()
    try:
        yield workers
    finally:
        for worker in workers:
            await worker.die()
            worker.leases.close()
    assert len(state.places) == 0


def inside(workers: list[Worker]) -> int:
    return sum(worker.limiter.inside for worker in workers)


@given(st.lists(st.tuples(st.sampled_from(["enter", "enter", "leave"]), st.integers(0, 2)), max_size=60))
@settings(max_examples=30, deadline=None)
async def test_a_call_is_refused_if_and_only_if_all_places_are_taken(steps: list[tuple[str, int]]) -> None:
    async with gateway(3, capacity=13) as workers:
        for step, number in steps:
            worker = workers[number]
            if step == "leave" and worker.limiter.inside:
                worker.limiter.leave()
                await worker.told()
            elif step == "enter":
                full = inside(workers) == 13
                assert await worker.enters() is not full


@pytest.mark.parametrize("capacity", [3, 20, 1000])
async def test_many_calls_at_once_in_all_workers_never_exceed_the_limit(capacity: int) -> None:
    async with gateway(3, capacity, queue=1000) as workers:
        most = 0

        async def call(worker: Worker, turns: int) -> None:
            nonlocal most
            for _ in range(10):
                await worker.limiter.enter(LONG)
                most = max(most, inside(workers))
                for _ in range(turns):
                    await asyncio.sleep(0)
                worker.limiter.leave()

        await asyncio.gather(*(call(workers[number % 3], number % 7) for number in range(60)))
        assert inside(workers) == 0
        assert 0 < most <= capacity


async def test_the_places_of_a_worker_that_dies_are_free_those_to_spare_too() -> None:
    async with gateway(2, capacity=13) as (one, two):
        assert await one.enters()
        assert one.limiter.spare
        await one.die()
        assert [await two.enters() for _ in range(14)] == [True] * 13 + [False]


async def test_most_calls_of_a_wide_limit_ask_nobody() -> None:
    async with gateway(2, capacity=100_000) as (one, _):
        for _ in range(10):
            calls = [asyncio.create_task(one.enters()) for _ in range(MAX_SPARE)]
            assert all(await asyncio.gather(*calls))
            for _ in calls:
                one.limiter.leave()
        assert one.questions <= MAX_SPARE  # those of the first calls, which came at once
        before = one.questions
        for _ in range(10 * MAX_SPARE):
            assert await one.enters()
            one.limiter.leave()
        assert one.questions == before


async def test_calls_that_come_at_once_keep_the_spare_places_of_one_question_only() -> None:
    async with gateway(2, capacity=100_000) as (one, _):
        calls = [asyncio.create_task(one.enters()) for _ in range(20)]
        assert all(await asyncio.gather(*calls))
        assert one.limiter.spare == MAX_SPARE
        await one.told()
        told = one.told_leave
        assert told < 20
        for _ in calls:
            one.limiter.leave()
        await one.told()
        assert one.told_leave - told <= 20


async def test_spare_places_without_use_go_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leases, "IDLE", 0.01)
    async with gateway(2, capacity=100) as (one, _):
        assert await one.enters()
        one.limiter.leave()
        assert one.limiter.spare
        await until(lambda: len(one.state.places) == 0, "all places are back")
        assert one.limiter.spare == 0
        await until(lambda: len(one.leases) == 0, "nothing is left to look for")


async def test_a_smaller_limit_holds_at_once_in_a_worker_with_spare_places() -> None:
    async with gateway(2, capacity=100) as (one, two):
        assert await one.enters()
        assert one.limiter.spare
        one.limiter.capacity = two.limiter.capacity = 1
        one.limiter.admit()
        assert not await one.enters()
        assert not await two.enters()
        one.limiter.leave()
        await one.told()
        assert await two.enters()


async def test_places_that_are_called_back_before_the_call_goes_on_are_not_kept() -> None:
    given: list[Any] = []

    class Crossing:
        """A channel on which spare places and their recall arrive together."""

        def tell(self, *news: Any) -> None:
            given.append(news)

        async def ask(self, *_: Any, **__: Any) -> Any:
            assert held.call_back("demo", "pool") == 0
            return ["", 7]

    held = Leases(Crossing())  # type: ignore[arg-type]
    limiter = SharedLimiter(held, "demo", "limits.pool", "pool", 100, 0)
    await limiter.enter(LONG)
    assert (limiter.inside, limiter.spare) == (1, 0)
    assert given == [("leave", "demo", "pool", 7)]
    limiter.leave()
    assert given[1:] == [("leave", "demo", "pool", 1)]
    held.close()


async def test_a_spare_place_is_taken_at_once_and_without_one_nothing_is() -> None:
    async with gateway(2, capacity=13) as (one, two):
        assert not one.limiter.try_enter()
        assert await one.enters()
        spare, questions = one.limiter.spare, one.questions
        assert [one.limiter.try_enter() for _ in range(spare + 1)] == [True] * spare + [False]
        assert (inside([one, two]), one.questions) == (spare + 1, questions)
        for _ in range(spare + 1):
            one.limiter.leave()
        assert inside([one, two]) == 0
