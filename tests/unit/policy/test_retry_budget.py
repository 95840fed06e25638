from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.retry_budget import WINDOW, RetryBudget


def paid(budget: RetryBudget, now: float, asked: int = 1000) -> int:
    return sum(budget.pay(now) for _ in range(asked))


def started(budget: RetryBudget, calls: int, now: float) -> None:
    for _ in range(calls):
        budget.start(now)


@pytest.mark.parametrize(
    ("percent", "per_second", "calls", "retries"),
    [(20, 3, 0, 30), (20, 3, 100, 30), (20, 3, 150, 30), (20, 3, 1000, 200), (100, 0, 50, 50), (0, 0, 500, 0),
     (20, 0, 0, 0), (0, 1, 0, 10)],
)  # fmt: skip
def test_retries_are_the_larger_of_the_share_and_the_minimum(
    percent: int, per_second: int, calls: int, retries: int
) -> None:
    budget = RetryBudget(percent, per_second)
    started(budget, calls, 100.0)
    assert paid(budget, 100.5) == retries


def test_paid_retries_come_back_when_they_leave_the_window() -> None:
    budget = RetryBudget(20, 3)
    assert paid(budget, 100.0) == 30
    assert paid(budget, 109.9) == 0
    assert paid(budget, 110.0) == 30


def test_calls_count_for_as_long_as_they_are_in_the_window() -> None:
    budget = RetryBudget(50, 0)
    started(budget, 40, 100.0)
    started(budget, 40, 105.0)
    assert paid(budget, 109.0, 10) == 10
    assert paid(budget, 112.0) == 10  # half of the later forty, less the ten
    assert paid(budget, 130.0) == 0


def test_changed_limits_apply_at_once_and_counts_stay() -> None:
    budget = RetryBudget(0, 1)
    started(budget, 100, 50.0)
    assert paid(budget, 50.0) == 10
    budget.configure(50, 0)
    assert paid(budget, 50.0) == 40


def test_a_clock_that_has_stood_still_or_stepped_back_a_little_changes_nothing() -> None:
    budget = RetryBudget(0, 1)
    assert paid(budget, 100.5, 5) == 5
    assert paid(budget, 99.0) == 5


@given(st.integers(0, 100), st.integers(0, 5), st.lists(st.tuples(st.booleans(), st.floats(0, 3)), max_size=200))
def test_in_no_window_are_there_more_retries_than_allowed(
    percent: int, per_second: int, events: list[tuple[bool, float]]
) -> None:
    budget, now = RetryBudget(percent, per_second), 1000.0
    calls, retries = list[float](), list[float]()
    for is_call, passed in events:
        now += passed
        if is_call:
            budget.start(now)
            calls.append(now)
        elif budget.pay(now):
            retries.append(now)
            within = [at for at in retries if int(at) > int(now) - WINDOW]
            counted = [at for at in calls if int(at) > int(now) - WINDOW]
            assert len(within) < max(percent / 100 * len(counted), per_second * WINDOW) + 1


def test_a_client_takes_its_share_while_others_call_and_all_when_it_is_alone() -> None:
    budget = RetryBudget(0, 3, 50)
    budget.start(100.0, "loud")
    assert sum(budget.pay(100.0, "loud") for _ in range(100)) == 30, "it is alone"
    budget = RetryBudget(0, 3, 50)
    for client in ("loud", "quiet", "loud"):
        budget.start(100.0, client)
    assert sum(budget.pay(100.5, "loud") for _ in range(100)) == 15
    assert not budget.has_left(100.5, "loud")
    assert sum(budget.pay(100.5, "quiet") for _ in range(100)) == 15
    assert sum(budget.pay(100.5, "other") for _ in range(100)) == 0, "all are spent"
    budget.start(111.0, "loud")
    assert sum(budget.pay(111.0, "loud") for _ in range(100)) == 30, "the others have not called for the whole window"


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c"]), st.booleans(), st.floats(0, 3)), max_size=200))
def test_no_client_takes_more_than_its_share_of_a_window(events: list[tuple[str, bool, float]]) -> None:
    budget, now = RetryBudget(20, 2, 25), 1000.0
    budget.start(now, "other")
    retries = list[tuple[str, float]]()
    calls = [now]
    for client, is_call, passed in events:
        now += passed
        budget.start(now, "other")  # so that nobody is alone
        budget.start(now, client)
        calls += [now, now]
        if not is_call and budget.pay(now, client):
            retries.append((client, now))
            within = [of for of, at in retries if int(at) > int(now) - WINDOW]
            counted = [at for at in calls if int(at) > int(now) - WINDOW]
            allowed = max(0.2 * len(counted), 2 * WINDOW)
            assert within.count(client) < 0.25 * allowed + 1
            assert len(within) < allowed + 1
