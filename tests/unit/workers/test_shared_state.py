"""The supervisor's state: limits hold exactly over all workers, and a worker that has ended holds nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.workers.shared_state import Places, SessionFacts, SharedBuckets

ONE, TWO = 1, 2
A, B, C = ("http://a", "s1", 1.0), ("http://b", "s2", 2.0), ("http://c", "s3", 3.0)


def enter(places: Places, worker: int, *, capacity: int = 2, queue: int = 0) -> str | Coroutine[Any, Any, str | None]:
    return places.enter(worker, "demo", "pool", "limits.pool", capacity, queue, False, 60.0)


async def test_places_are_counted_over_all_workers_and_the_reason_names_the_limit() -> None:
    places = Places()
    assert enter(places, ONE) == ""
    assert enter(places, TWO) == ""
    refused = enter(places, ONE)
    assert not isinstance(refused, str)
    assert await refused == "limits.pool: 2 calls in flight, 0 waiting"
    places.leave(TWO, "demo", "pool")
    assert enter(places, ONE) == ""


async def test_a_call_that_waits_gets_the_place_of_a_worker_that_has_ended() -> None:
    places = Places()
    assert enter(places, ONE, capacity=1, queue=1) == ""
    waits = enter(places, TWO, capacity=1, queue=1)
    assert not isinstance(waits, str)
    waiting = asyncio.create_task(waits)
    await asyncio.sleep(0)
    places.gone(ONE)
    assert await waiting == ""
    places.leave(ONE, "demo", "pool")  # late news of the ended worker gives back nothing
    refused = enter(places, ONE, capacity=1)
    assert not isinstance(refused, str)
    assert await refused


async def test_a_call_that_no_longer_waits_takes_no_place() -> None:
    places = Places()
    assert enter(places, ONE, capacity=1, queue=1) == ""
    waits = enter(places, TWO, capacity=1, queue=1)
    assert not isinstance(waits, str)
    waiting = asyncio.create_task(waits)
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    places.leave(ONE, "demo", "pool")
    assert len(places) == 0


@given(st.lists(st.tuples(st.sampled_from(["enter", "leave", "gone"]), st.integers(1, 3)), max_size=60))
@settings(max_examples=100)
async def test_places_are_never_lost_and_never_invented(steps: list[tuple[str, int]]) -> None:
    places, inside = Places(), {1: 0, 2: 0, 3: 0}
    for step, worker in steps:
        if step == "enter":
            entered = enter(places, worker, capacity=3)
            if not isinstance(entered, str):
                assert await entered
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


def test_a_call_takes_a_token_of_each_rate_or_of_none() -> None:
    rates = SharedBuckets()
    pool, tool = ("pool", "", 0.001, 3.0), ("tool", "x", 0.001, 2.0)
    assert rates.take("demo", [pool, tool]) == rates.take("demo", [pool, tool]) == (-1, 0.0)
    number, wait = rates.take("demo", [pool, tool])
    assert number == 1
    assert wait > 100
    assert rates.take("demo", [pool]) == (-1, 0.0)  # the refused call took none
    assert rates.take("demo", [pool])[0] == 0
    assert rates.take("other", [pool]) == (-1, 0.0)


def test_the_first_worker_to_move_a_session_wins() -> None:
    facts, session = SessionFacts(), ("demo", "token")
    assert facts.move(session, 60, A, B, "info", ["u"]).home == B
    known = facts.move(session, 60, A, C, None, ["v"])
    assert (known.home, known.log_level, known.subscriptions) == (B, "info", ("u",))
    assert facts.move(session, 60, B, C, None, []).home == C
    facts.end(session, 60)
    assert facts.move(session, 60, C, A, None, []).ended
    assert facts.find(("other", "token")).home is None


def test_facts_expire_and_are_bounded_in_number_and_bytes() -> None:
    facts = SessionFacts(most=3, most_bytes=2000)
    for number in range(5):
        facts.end(("demo", str(number)), 60)
    assert len(facts) == 3
    assert not facts.find(("demo", "0")).ended
    facts.note(("demo", "large"), 60, None, "u" * 1900, None)
    assert len(facts) == 0  # it alone is too large with its overhead
    assert facts.bytes == 0
    facts.note(("demo", "short"), 0, "info", None, None)
    assert facts.find(("demo", "short")).log_level is None
    assert len(facts) == 0
