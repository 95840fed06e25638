"""The supervisor's places: limits hold exactly over all workers, and a worker that has ended holds nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.workers.places import MAX_SPARE, Admitted, Places
from tests.unit.workers.test_channel import nothing_to_spare

ONE, TWO = 1, 2
ADMITTED = ("", 0)


def enter(
    places: Places, worker: int, *, capacity: int = 2, queue: int = 0
) -> Admitted | Coroutine[Any, Any, Admitted]:
    return places.enter(worker, "demo", "pool", "limits.pool", capacity, queue, False, 60.0)


async def test_places_are_counted_over_all_workers_and_the_reason_names_the_limit() -> None:
    places = Places(2, nothing_to_spare)
    assert enter(places, ONE) == ADMITTED
    assert enter(places, TWO) == ADMITTED
    refused = enter(places, ONE)
    assert not isinstance(refused, tuple)
    assert await refused == ("limits.pool: 2 calls in flight, 0 waiting", 0)
    places.leave(TWO, "demo", "pool")
    assert enter(places, ONE) == ADMITTED


async def test_a_call_that_waits_gets_the_place_of_a_worker_that_has_ended() -> None:
    places = Places(2, nothing_to_spare)
    assert enter(places, ONE, capacity=1, queue=1) == ADMITTED
    waits = enter(places, TWO, capacity=1, queue=1)
    assert not isinstance(waits, tuple)
    waiting = asyncio.create_task(waits)
    await asyncio.sleep(0)
    places.gone(ONE)
    assert await waiting == ADMITTED
    places.leave(ONE, "demo", "pool")  # late news of the ended worker gives back nothing
    refused = enter(places, ONE, capacity=1)
    assert not isinstance(refused, tuple)
    assert (await refused)[0]


async def test_a_call_that_no_longer_waits_takes_no_place() -> None:
    places = Places(2, nothing_to_spare)
    assert enter(places, ONE, capacity=1, queue=1) == ADMITTED
    waits = enter(places, TWO, capacity=1, queue=1)
    assert not isinstance(waits, tuple)
    waiting = asyncio.create_task(waits)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    places.leave(ONE, "demo", "pool")
    assert len(places) == 0


@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "gone"]), st.integers(1, 3)), max_size=60))
@settings(max_examples=100)
async def test_places_are_never_lost_and_never_invented(steps: list[tuple[str, int]]) -> None:
    places, inside = Places(2, nothing_to_spare), {1: 0, 2: 0, 3: 0}
    for step, worker in steps:
        if step == "enter":
            entered = enter(places, worker, capacity=3)
            if not isinstance(entered, tuple):
                assert (await entered)[0]
                assert sum(inside.values()) == 3
            else:
                inside[worker] += 1
        elif step == "leave":
            places.leave(worker, "demo", "pool")
            inside[worker] = max(0, inside[worker] - 1)
        else:
            places.gone(worker)
            inside[worker] = 0
        assert sum(inside.values()) <= 3
    for worker in inside:
        places.gone(worker)
    assert len(places) == 0


async def test_spare_places_come_while_many_are_free() -> None:
    places = Places(2, nothing_to_spare)
    assert enter(places, ONE, capacity=10_000) == ("", MAX_SPARE)
    few = Places(2, nothing_to_spare)
    given = []
    for worker in (ONE, TWO, ONE, TWO, ONE):
        admitted = enter(few, worker, capacity=10)
        assert isinstance(admitted, tuple)
        given.append(admitted[1])
    assert given == [2, 1, 1, 0, 0]


async def test_spare_places_are_called_back_before_a_call_is_refused() -> None:
    asked: list[int] = []

    async def two_to_spare(worker: int, _pool: str, _key: str) -> int:
        asked.append(worker)
        return 2

    places = Places(2, two_to_spare, patience=60)
    assert enter(places, ONE, capacity=10) == ("", 2)
    later = [enter(places, TWO, capacity=3) for _ in range(3)]
    found = await asyncio.gather(*(each for each in later if not isinstance(each, tuple)))
    assert sorted(found) == [ADMITTED, ADMITTED, ("limits.pool: 3 calls in flight, 0 waiting", 0)]
    assert asked == [ONE]


async def test_a_worker_that_does_not_answer_keeps_no_call_waiting() -> None:
    cancelled = asyncio.Event()

    async def silent(_worker: int, _pool: str, _key: str) -> int:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()
        return 0

    places = Places(2, silent, patience=0.01)
    assert enter(places, ONE, capacity=10) == ("", 2)
    refused = enter(places, TWO, capacity=3)
    assert not isinstance(refused, tuple)
    assert (await refused)[0] == "limits.pool: 3 calls in flight, 0 waiting"
    assert cancelled.is_set()
    places.leave(ONE, "demo", "pool", 2)  # its answer, late
    assert enter(places, TWO, capacity=3) == ADMITTED


async def test_a_call_that_begins_to_wait_when_all_others_leave_gets_a_place_of_the_same_limit() -> None:
    places = Places(2, nothing_to_spare)
    assert enter(places, ONE, capacity=1) == ADMITTED
    waits = enter(places, TWO, capacity=1, queue=1)
    assert not isinstance(waits, tuple)
    places.leave(ONE, "demo", "pool")
    assert await waits == ADMITTED
    refused = enter(places, ONE, capacity=1)
    assert not isinstance(refused, tuple)
    assert (await refused)[0]
