from __future__ import annotations

import asyncio
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool_operator import metrics
from mcppool_operator.queue import Schedule, WorkQueue, backoff


def exactly(low: float, high: float) -> float:
    return (low + high) / 2


@pytest.fixture
def schedule() -> Schedule:
    return Schedule(uniform=exactly)


def test_a_key_that_is_added_twice_is_handed_out_once(schedule: Schedule) -> None:
    schedule.add("a", 0)
    schedule.add("a", 0)
    assert schedule.take(0) == ("a", 0)
    assert schedule.take(0) is None


def test_the_earliest_of_several_times_holds(schedule: Schedule) -> None:
    schedule.add("a", 0, 10)
    schedule.add("a", 0, 1)
    schedule.add("a", 0, 5)
    assert schedule.take(0.9) is None
    assert schedule.take(1) == ("a", 1)
    schedule.done("a", 1)
    assert schedule.take(100) is None


def test_keys_come_in_the_order_in_which_they_are_due(schedule: Schedule) -> None:
    for key, delay in (("late", 3), ("early", 1), ("middle", 2)):
        schedule.add(key, 0, delay)
    assert [schedule.take(5)[0] for _ in range(3)] == ["early", "middle", "late"]  # type: ignore[index]


def test_a_key_is_never_with_two_workers_and_comes_back_when_it_was_asked_for_meanwhile(schedule: Schedule) -> None:
    schedule.add("a", 0)
    assert schedule.take(0)
    schedule.add("a", 1)
    assert schedule.take(1) is None
    schedule.done("a", 2)
    assert schedule.take(2) == ("a", 2)
    schedule.done("a", 3)
    assert schedule.take(3) is None


def test_failures_double_the_wait_and_a_success_forgets_them(schedule: Schedule) -> None:
    schedule.add("a", 0)
    now, waits = 0.0, []
    for _ in range(4):
        assert schedule.take(now)
        waits.append(schedule.failed("a", now))
        assert schedule.take(now + waits[-1] * 0.99) is None
        now += waits[-1]
    assert waits == [0.005, 0.01, 0.02, 0.04]
    assert schedule.take(now)
    schedule.done("a", now)
    schedule.add("a", now)
    assert schedule.take(now)
    assert schedule.failed("a", now) == 0.005


def test_an_event_does_not_wait_for_the_back_off_of_its_key(schedule: Schedule) -> None:
    schedule.add("a", 0)
    assert schedule.take(0)
    schedule.failed("a", 0)
    schedule.add("a", 0.001, 0.001)
    assert schedule.take(0.002) == ("a", 0.002)


def test_a_lasting_failure_waits_at_most_the_given_time(schedule: Schedule) -> None:
    now = 0.0
    for _ in range(30):
        schedule.add("a", now)
        assert schedule.take(now)
        now += schedule.failed("a", now, at_most=5)
    schedule.add("a", now, 100)
    assert schedule.take(now)
    assert schedule.failed("a", now, at_most=5) == 5


@given(st.integers(1, 10_000))
def test_the_back_off_stays_within_five_minutes_and_a_fifth(failures: int) -> None:
    plain = min(0.005 * 2.0 ** min(failures - 1, 30), 300)
    assert plain * 0.8 <= backoff(failures) <= plain * 1.2


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["add", "take", "done", "failed"]), st.sampled_from("abc"), st.floats(0, 2)), max_size=60
)


@given(OPERATIONS)
def test_nothing_asked_for_is_ever_lost(operations: list[tuple[str, str, float]]) -> None:
    schedule, now = Schedule(), 0.0
    working: set[str] = set()
    owed: set[str] = set()  # asked for, and not taken since
    for operation, key, amount in operations:
        now += amount / 10
        if operation == "add":
            schedule.add(key, now, amount)
            owed.add(key)
        elif operation == "take":
            taken = schedule.take(now)
            if taken is not None:
                assert taken[0] not in working
                assert taken[1] <= now
                working.add(taken[0])
                owed.discard(taken[0])
        elif working:
            key = min(working)
            working.discard(key)
            if operation == "done":
                schedule.done(key, now)
            else:
                schedule.failed(key, now)
                owed.add(key)
    for key in working:
        schedule.done(key, now)
    later = now + 1000
    found = set()
    while (taken := schedule.take(later)) is not None:
        found.add(taken[0])
    assert found == owed
    assert schedule.next_due() is None
    assert schedule.depth() == 0


async def test_workers_share_the_keys_and_see_each_change() -> None:
    queue, seen, all_seen = WorkQueue("test"), [], asyncio.Event()
    busy: set[str] = set()

    async def handle(key: str) -> float | None:
        assert key not in busy
        busy.add(key)
        await asyncio.sleep(0)
        busy.discard(key)
        seen.append(key)
        if len(seen) == 1:
            queue.add(key)  # while no worker has it any more, or still: both must bring it back
        if len(seen) == 101:
            all_seen.set()
        return None

    workers = [asyncio.create_task(queue.work(handle, lambda key, error: 0.0)) for _ in range(4)]
    for number in range(100):
        queue.add(f"default/{number}")
        queue.add(f"default/{number}", 0.01)
    async with asyncio.timeout(60):
        await all_seen.wait()
    queue.close()
    async with asyncio.timeout(60):
        await asyncio.gather(*workers)
    assert len(set(seen)) == 100


async def test_a_failing_key_comes_back_and_does_not_hold_up_the_others() -> None:
    queue, attempts, other = WorkQueue("test"), 0, asyncio.Event()
    recovered = asyncio.Event()
    reported: list[str] = []

    async def handle(key: str) -> float | None:
        nonlocal attempts
        if key == "good":
            other.set()
            return None
        attempts += 1
        if attempts < 4:
            raise ValueError(f"attempt {attempts}")
        recovered.set()
        return None

    def failed(key: str, error: Exception) -> float:
        reported.append(f"{key}: {error}")
        return math.inf

    worker = asyncio.create_task(queue.work(handle, failed))
    queue.add("bad")
    queue.add("good")
    async with asyncio.timeout(60):
        await other.wait()
        await recovered.wait()
    assert reported == ["bad: attempt 1", "bad: attempt 2", "bad: attempt 3"]
    queue.close()
    async with asyncio.timeout(60):
        await worker


async def test_a_closed_queue_finishes_keys_in_progress_and_takes_no_more() -> None:
    queue, started, go_on, done = WorkQueue("test"), asyncio.Event(), asyncio.Event(), []

    async def handle(key: str) -> float | None:
        started.set()
        await go_on.wait()
        done.append(key)
        return None

    worker = asyncio.create_task(queue.work(handle, lambda key, error: 0.0))
    queue.add("first")
    queue.add("second")
    async with asyncio.timeout(60):
        await started.wait()
        queue.close()
        go_on.set()
        await worker
    assert done == ["first"]


def test_keys_with_an_event_go_before_keys_of_a_periodic_look() -> None:
    schedule = Schedule()
    for number in range(300):
        schedule.add(f"listed/{number}", 0.0, background=True)
    schedule.add("team/changed", 5.0)
    assert schedule.take(5.0) == ("team/changed", 5.0)
    assert schedule.take(5.0) == ("listed/0", 0.0)
    # One of the many that something happens to goes first, and comes once.
    schedule.add("listed/299", 6.0)
    assert schedule.take(6.0) == ("listed/299", 0.0)
    schedule.done("listed/299", 6.0)
    assert [schedule.take(6.0) for _ in range(298)] == [(f"listed/{number}", 0.0) for number in range(1, 299)]
    assert schedule.take(6.0) is None
    assert schedule.next_due() is None


def test_an_event_during_the_work_on_a_key_is_no_background() -> None:
    schedule = Schedule()
    schedule.add("a", 0.0, background=True)
    assert schedule.take(0.0)
    schedule.add("a", 1.0, background=True)
    schedule.add("a", 2.0)
    schedule.add("b", 0.0, background=True)
    schedule.done("a", 3.0)
    assert schedule.take(3.0) == ("a", 3.0)


async def test_how_long_a_key_waits_is_counted_from_when_there_are_workers() -> None:
    now = 1000.0
    queue = WorkQueue("standby", lambda: now)
    queue.add("a")
    now = 5000.0  # hours in which another replica led
    queue.open()
    now = 5002.0

    async def handle(_: str) -> float | None:
        queue.close()
        return None

    async with asyncio.timeout(60):
        await queue.work(handle, lambda key, error: 0.0)
    name = "mcppool_operator_workqueue_queue_duration_seconds_sum"
    assert metrics.REGISTRY.get_sample_value(name, {"name": "standby"}) == 2.0
