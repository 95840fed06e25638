"""Equal calls at the same time are made once, whichever callers give up."""

from __future__ import annotations

import asyncio

from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.cache.single_flight import SingleFlight
from tests.waiting import until


class Desk:
    """Callers of one key; `release` lets the call that is being made end."""

    def __init__(self) -> None:
        self.flights: SingleFlight[str] = SingleFlight()
        self.release = asyncio.Event()
        self.made: list[str] = []

    async def call(self, name: str, *, shareable: bool = True) -> str:
        flight, leads = await self.flights.join(b"key")
        if flight.result is not None:
            return flight.result
        self.made.append(name)
        try:
            await self.release.wait()
            if leads:
                self.flights.land(flight, f"of {name}" if shareable else None)
            return f"of {name}"
        finally:
            if leads:
                self.flights.leave(flight)


async def settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_all_waiters_get_the_result_of_one_fetch() -> None:
    desk = Desk()
    tasks = [asyncio.create_task(desk.call(str(n))) for n in range(5)]
    await settle()
    desk.release.set()
    assert await asyncio.gather(*tasks) == ["of 0"] * 5
    assert desk.made == ["0"]
    assert len(desk.flights) == 0


async def test_when_the_first_gives_up_the_next_makes_the_call_and_the_rest_wait_for_it() -> None:
    desk = Desk()
    tasks = [asyncio.create_task(desk.call(str(n))) for n in range(4)]
    await settle()
    tasks[0].cancel()
    await until(lambda: desk.made == ["0", "1"], "the next one makes it")
    desk.release.set()
    assert (await asyncio.gather(*tasks, return_exceptions=True))[1:] == ["of 1"] * 3
    assert desk.made == ["0", "1"]


async def test_without_a_result_to_share_all_waiters_fetch_at_once() -> None:
    desk = Desk()
    first = asyncio.create_task(desk.call("0", shareable=False))
    await settle()
    others = [asyncio.create_task(desk.call(str(n), shareable=False)) for n in range(1, 4)]
    await settle()
    desk.release.set()
    assert await asyncio.gather(first, *others) == [f"of {n}" for n in range(4)]
    assert len(desk.flights) == 0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(0, 5), max_size=6), st.integers(0, 3))
async def test_no_waiter_waits_for_ever_whatever_cancellations_happen(cancelled: list[int], pause: int) -> None:
    desk = Desk()
    tasks = [asyncio.create_task(desk.call(str(n))) for n in range(6)]
    await asyncio.sleep(0)
    for n in cancelled:
        tasks[n].cancel()
        for _ in range(pause):
            await asyncio.sleep(0)
    desk.release.set()
    results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 60)
    for n, result in enumerate(results):
        assert isinstance(result, asyncio.CancelledError) if n in cancelled else isinstance(result, str)
    assert len(desk.flights) == 0
