"""Equal calls of several gateways: one makes the call, the others wait for its answer, and none waits for ever."""

from __future__ import annotations

import asyncio

import pytest

from mcppool.cache.store import CachedAnswer, CacheHit
from mcppool.pipeline.caching import shared_flights
from mcppool.pipeline.caching.shared_flights import SharedFlights
from tests.waiting import until

ANSWER = CacheHit(CachedAnswer(b"{}", 60.0), 0.0, None)


class Claims:
    """The claims of a store that two gateways share."""

    def __init__(self) -> None:
        self.held: set[bytes] = set()
        self.asked = 0

    async def claim(self, key: bytes) -> bool:
        self.asked += 1
        free = key not in self.held
        self.held.add(key)
        return free

    def release(self, key: bytes) -> None:
        self.held.discard(key)


class Look:
    """The look-ups of one gateway; `answer` is what they find."""

    def __init__(self) -> None:
        self.count = 0
        self.answer: CacheHit | None = None

    async def __call__(self) -> CacheHit | None:
        self.count += 1
        return self.answer


async def test_the_first_gateway_makes_the_call_if_no_answer_came_before_its_claim() -> None:
    claims, look = Claims(), Look()
    flights = SharedFlights(claims)
    assert await flights.lead(b"k", look, 60.0) is None
    flights.leave(b"k")
    assert claims.held == set()
    look.answer = ANSWER  # of a gateway that made its whole call between the caller's look and the claim
    assert await flights.lead(b"k", look, 60.0) is ANSWER
    flights.leave(b"k")
    assert claims.held == set()


async def test_another_gateway_waits_for_the_answer() -> None:
    claims = Claims()
    first, other, look = SharedFlights(claims), SharedFlights(claims), Look()
    await first.lead(b"k", look, 60.0)
    waiting = asyncio.create_task(other.lead(b"k", look, 60.0))
    await until(lambda: look.count, "it looks for the answer")
    look.answer = ANSWER
    assert await waiting is ANSWER
    other.leave(b"k")
    assert claims.held == {b"k"}, "a claim of another gateway stays"


async def test_a_gateway_that_gets_the_claim_after_a_wait_looks_once_more() -> None:
    claims = Claims()
    first, other, look = SharedFlights(claims), SharedFlights(claims), Look()
    await first.lead(b"k", look, 60.0)
    waiting = asyncio.create_task(other.lead(b"k", look, 60.0))
    await until(lambda: look.count, "it looks for the answer")
    first.leave(b"k")
    assert await waiting is None, "there is no answer, so it makes the call"
    other.leave(b"k")
    assert claims.held == set()


async def test_a_gateway_that_does_not_answer_is_waited_for_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_flights, "PATIENCE", 0.05)
    claims, look = Claims(), Look()
    claims.held.add(b"k")
    assert await SharedFlights(claims).lead(b"k", look, 60.0) is None
    assert await SharedFlights(claims).lead(b"k", look, 0.0) is None, "the call has no time to wait"
