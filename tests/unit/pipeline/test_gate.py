"""The gate in front of a limit: places are never lost and never invented, whichever callers give up."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.pipeline.admission.concurrency_limiter import ConcurrencyLimiter
from mcppool.upstream.failures import LimitReached

LATER = 1e9

Step = tuple[str, int]
STEPS = st.lists(
    st.tuples(st.sampled_from(["enter", "enter", "leave", "cancel", "late", "run", "capacity"]), st.integers(0, 7)),
    max_size=60,
)


class Crowd:
    """Calls at a gate; `now` is the loop's time as the gate's time-outs see it."""

    def __init__(self, max_queue: int) -> None:
        self.gate = ConcurrencyLimiter("g", 2, max_queue)
        self.calls: list[asyncio.Task[None]] = []
        self.left: set[asyncio.Task[None]] = set()

    @property
    def inside(self) -> list[asyncio.Task[None]]:
        return [c for c in self.calls if c.done() and not c.cancelled() and not c.exception() and c not in self.left]

    @property
    def waiting(self) -> list[asyncio.Task[None]]:
        return [call for call in self.calls if not call.done()]

    async def step(self, what: str, which: int) -> None:
        if what == "enter":
            self.calls.append(asyncio.ensure_future(self.gate.enter(LATER)))
        elif what == "late":
            self.calls.append(asyncio.ensure_future(self.gate.enter(asyncio.get_running_loop().time())))
        elif what == "leave" and self.inside:
            call = self.inside[which % len(self.inside)]
            self.left.add(call)
            self.gate.leave()
        elif what == "cancel" and self.waiting:
            self.waiting[which % len(self.waiting)].cancel()
        elif what == "capacity":
            self.gate.capacity = which % 4
            self.gate.admit()
        elif what == "run":
            await settle()
            self.check()

    def check(self) -> None:
        assert self.gate.inside == len(self.inside)
        assert self.gate.waiting == len(self.waiting) <= self.gate.max_queue
        assert not (self.waiting and self.gate.inside < self.gate.capacity), "there is room and somebody waits"


async def settle() -> None:
    for _ in range(6):
        await asyncio.sleep(0)


@given(max_queue=st.integers(0, 4), steps=STEPS)
@settings(max_examples=300, deadline=None)
def test_no_place_is_lost_or_invented_in_any_order_of_events(max_queue: int, steps: list[Step]) -> None:
    async def run() -> None:
        crowd = Crowd(max_queue)
        for what, which in steps:
            await crowd.step(what, which)
        crowd.gate.capacity = 2
        crowd.gate.admit()
        for _ in range(100):
            await settle()
            crowd.check()
            if not crowd.inside and not crowd.waiting:
                break
            for call in crowd.inside:
                crowd.left.add(call)
                crowd.gate.leave()
        assert (crowd.gate.inside, crowd.gate.waiting) == (0, 0), "somebody starves"

    asyncio.run(run())


async def test_the_longest_waiter_is_admitted_first() -> None:
    gate = ConcurrencyLimiter("g", 1, 10)
    await gate.enter(LATER)
    order: list[int] = []

    async def call(number: int) -> None:
        await gate.enter(LATER)
        order.append(number)
        gate.leave()

    calls = [asyncio.ensure_future(call(number)) for number in range(5)]
    await settle()
    gate.leave()
    await asyncio.gather(*calls)
    assert order == [0, 1, 2, 3, 4]


async def test_a_new_call_does_not_overtake_a_waiting_one() -> None:
    gate = ConcurrencyLimiter("g", 1, 10)
    await gate.enter(LATER)
    waiting = asyncio.ensure_future(gate.enter(LATER))
    await settle()
    gate.leave()
    late = asyncio.ensure_future(gate.enter(LATER))
    await settle()
    assert waiting.done()
    assert not late.done()
    late.cancel()


async def test_a_full_queue_and_a_wait_in_vain_are_refused_and_never_sent() -> None:
    gate = ConcurrencyLimiter("g", 1, 1)
    await gate.enter(LATER)
    waiting = asyncio.ensure_future(gate.enter(asyncio.get_running_loop().time() + 0.01))
    await settle()
    with pytest.raises(LimitReached) as refused:
        await gate.enter(LATER)
    assert not refused.value.sent
    with pytest.raises(LimitReached):
        await waiting
    assert gate.waiting == 0


async def test_more_capacity_admits_waiting_calls() -> None:
    gate = ConcurrencyLimiter("g", 1, 5)
    await gate.enter(LATER)
    waiting = asyncio.ensure_future(gate.enter(LATER))
    await settle()
    gate.capacity = 2
    gate.admit()
    await settle()
    assert waiting.done()
    assert gate.inside == 2
