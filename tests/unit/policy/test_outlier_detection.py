from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.consecutive_failures import PERSISTENT, ClientKey
from mcppool.policy.outlier_detection import OutlierLimits, OutlierState, may_eject_another

LIMITS = OutlierLimits(consecutive_failures=3, base_ejection_time=10.0, max_ejection_time=25.0, max_ejection_percent=50)


def fail(state: OutlierState, times: int, now: float, *, may_eject: bool = True) -> list[bool]:
    return [state.failed(ClientKey(n % 2, n % 2), now, LIMITS, may_eject=may_eject) for n in range(times)]


def eject(state: OutlierState, now: float) -> None:
    assert fail(state, LIMITS.consecutive_failures, now)[-1]


def recover(state: OutlierState, now: float) -> None:
    assert state.due(now)
    assert state.succeeded(now, LIMITS)


def test_the_last_of_so_many_failures_in_a_row_ejects() -> None:
    state = OutlierState()
    assert fail(state, 3, 0.0) == [False, False, True]
    assert state.ejected


def test_a_success_resets_the_row() -> None:
    state = OutlierState()
    fail(state, 2, 0.0)
    assert not state.succeeded(0.0, LIMITS)
    assert fail(state, 2, 0.0) == [False, False]
    assert not state.ejected


def test_where_the_share_is_used_up_it_stays_until_the_share_allows_it() -> None:
    state = OutlierState()
    assert fail(state, 5, 0.0, may_eject=False) == [False] * 5
    assert not state.ejected
    assert fail(state, 1, 0.0) == [True]


def test_probation_begins_when_the_time_is_over_and_is_reported_once() -> None:
    state = OutlierState()
    eject(state, 100.0)
    assert not state.due(109.9)
    assert state.due(110.0)
    assert not state.due(110.1)
    assert state.ejected
    assert state.probation


def test_a_good_trial_ends_the_ejection() -> None:
    state = OutlierState()
    eject(state, 0.0)
    recover(state, 10.0)
    assert not state.ejected
    assert not state.probation
    assert fail(state, 2, 11.0) == [False, False]


def test_an_answer_to_a_call_from_before_the_ejection_does_not_end_it() -> None:
    state = OutlierState()
    eject(state, 0.0)
    assert not state.succeeded(1.0, LIMITS)
    assert state.ejected


def test_failures_of_calls_from_before_the_ejection_do_not_lengthen_it() -> None:
    state = OutlierState()
    eject(state, 0.0)
    assert fail(state, 10, 1.0) == [False] * 10
    assert state.due(10.0)
    assert state.ejections == 1


def test_a_bad_trial_ejects_again_for_longer_up_to_the_maximum() -> None:
    state, now, times = OutlierState(), 0.0, []
    eject(state, now)
    for _ in range(4):
        assert state.ejected_until is not None
        times.append(state.ejected_until - now)
        now = state.ejected_until
        assert state.due(now)
        assert fail(state, 1, now, may_eject=False) == [False]  # the share does not count: it is out already
        assert not state.probation
    assert times == [10.0, 20.0, 25.0, 25.0]


def test_the_multiplier_falls_by_one_for_each_such_time_spent_well() -> None:
    state = OutlierState()
    eject(state, 0.0)
    assert state.due(10.0)
    fail(state, 1, 10.0)
    recover(state, 30.0)
    assert state.ejections == 2
    state.succeeded(39.9, LIMITS)
    assert state.ejections == 2
    state.succeeded(40.0, LIMITS)
    state.succeeded(41.0, LIMITS)
    assert state.ejections == 1
    state.succeeded(50.0, LIMITS)
    assert state.ejections == 0
    eject(state, 60.0)
    assert state.ejected_until == 70.0


def fail_one_client(state: OutlierState, times: int, now: float = 0.0) -> list[bool]:
    return [state.failed(ClientKey("mallory", 0), now, LIMITS, may_eject=True) for _ in range(times)]


def test_failures_of_one_client_eject_no_endpoint() -> None:
    state = OutlierState()
    assert not any(fail_one_client(state, 100))


def test_the_failure_of_a_second_client_ejects() -> None:
    state = OutlierState()
    fail_one_client(state, 10)
    assert state.failed(ClientKey("alice", 1), 0.0, LIMITS, may_eject=True)


def test_failures_of_one_client_that_persist_eject() -> None:
    state = OutlierState()
    assert not any(fail_one_client(state, 2))
    assert not any(fail_one_client(state, 1, PERSISTENT - 0.1))
    assert fail_one_client(state, 1, PERSISTENT) == [True]


def test_an_answer_restarts_the_time_of_persistence() -> None:
    state = OutlierState()
    fail_one_client(state, 10)
    state.succeeded(4.0, LIMITS)
    assert not any(fail_one_client(state, 10, 6.0))


def test_a_call_of_one_client_that_was_answered_elsewhere_ejects() -> None:
    state = OutlierState()
    fail_one_client(state, 2)
    assert not state.answered_elsewhere(0.0, LIMITS, may_eject=True), "the row is too short"
    assert fail_one_client(state, 1) == [True]
    state = OutlierState()
    fail_one_client(state, 5)
    assert not state.answered_elsewhere(0.0, LIMITS, may_eject=False)
    assert state.answered_elsewhere(0.0, LIMITS, may_eject=True)
    assert not state.answered_elsewhere(0.0, LIMITS, may_eject=True), "it is out already"


@pytest.mark.parametrize(
    ("ejected", "endpoints", "percent", "may"),
    [(0, 0, 100, False), (0, 1, 50, False), (0, 1, 100, True), (0, 2, 50, True), (1, 2, 50, False), (0, 3, 50, True),
     (1, 3, 50, False), (1, 3, 67, True), (4, 10, 50, True), (5, 10, 50, False), (0, 10, 0, False)],
)  # fmt: skip
def test_no_more_than_the_share_is_out(ejected: int, endpoints: int, percent: int, may: bool) -> None:
    assert may_eject_another(ejected, endpoints, percent) is may


@given(st.lists(st.tuples(st.sampled_from(["fail", "succeed", "look"]), st.floats(0, 20)), max_size=60))
def test_whatever_happens_the_time_out_is_bounded_and_a_healthy_endpoint_comes_back(
    events: list[tuple[str, float]],
) -> None:
    state, now = OutlierState(), 0.0
    for event, passed in events:
        now += passed
        if event == "fail":
            state.failed(ClientKey(int(passed) % 2, 0), now, LIMITS, may_eject=True)
        elif event == "succeed":
            state.succeeded(now, LIMITS)
        else:
            state.due(now)
        assert state.probation <= state.ejected
        assert state.ejections >= 0
        assert state.ejected_until is None or state.ejected_until <= now + LIMITS.max_ejection_time
    now += LIMITS.max_ejection_time
    state.due(now)
    state.succeeded(now, LIMITS)
    assert not state.ejected
