from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.circuit_breaker import BreakerLimits, BreakerState, CircuitBreaker

LIMITS = BreakerLimits(failure_threshold=3, open_duration=60.0, success_threshold=2)


def state(breaker: CircuitBreaker) -> BreakerState:
    return breaker.state


def opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(LIMITS.failure_threshold):
        breaker.admit(at, LIMITS)
        breaker.failed(at, LIMITS)
    assert state(breaker) is BreakerState.OPEN
    return breaker


def half_open(at: float = 60.0) -> CircuitBreaker:
    """With its first trial under way."""
    breaker = opened()
    assert breaker.admits(at, LIMITS)
    breaker.admit(at, LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN
    return breaker


def test_the_values_are_those_of_the_metric() -> None:
    assert [BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN] == [0, 1, 2]


def test_only_failures_in_a_row_open_it() -> None:
    breaker = CircuitBreaker()
    for _ in range(5):
        breaker.failed(0.0, LIMITS)
        breaker.failed(0.0, LIMITS)
        breaker.succeeded(LIMITS)
    assert state(breaker) is BreakerState.CLOSED
    for _ in range(3):
        breaker.failed(0.0, LIMITS)
    assert state(breaker) is BreakerState.OPEN


def test_it_is_idle_while_there_is_nothing_to_remember() -> None:
    breaker = CircuitBreaker()
    assert breaker.idle
    breaker.failed(0.0, LIMITS)
    assert not breaker.idle
    breaker.succeeded(LIMITS)
    assert breaker.idle
    assert not opened().idle


def test_open_it_admits_nobody_until_its_time_is_over() -> None:
    breaker = opened(at=5.0)
    assert not breaker.admits(64.9, LIMITS)
    assert breaker.retry_after(64.0, LIMITS) == 1.0
    assert breaker.admits(65.0, LIMITS)
    assert breaker.retry_after(70.0, LIMITS) == 0.0
    assert state(breaker) is BreakerState.OPEN  # asking changes nothing


def test_half_open_it_admits_one_call_at_a_time() -> None:
    breaker = half_open()
    assert not breaker.admits(61.0, LIMITS)
    breaker.succeeded(LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.admits(61.0, LIMITS)


def test_so_many_good_trials_close_it() -> None:
    breaker = half_open()
    breaker.succeeded(LIMITS)
    breaker.admit(61.0, LIMITS)
    breaker.succeeded(LIMITS)
    assert state(breaker) is BreakerState.CLOSED
    assert breaker.idle


def test_a_bad_trial_opens_it_for_the_whole_time_again_and_the_good_ones_so_far_are_void() -> None:
    breaker = half_open()
    breaker.succeeded(LIMITS)
    breaker.admit(70.0, LIMITS)
    breaker.failed(80.0, LIMITS)
    assert not breaker.admits(139.9, LIMITS)
    breaker.admit(140.0, LIMITS)
    breaker.succeeded(LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN


def test_a_trial_without_a_verdict_makes_room_for_the_next() -> None:
    breaker = half_open()
    breaker.abandoned()
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.admits(61.0, LIMITS)


def test_a_forced_trial_is_a_trial_before_its_time() -> None:
    breaker = opened()
    breaker.force_trial()
    assert state(breaker) is BreakerState.HALF_OPEN
    assert not breaker.admits(1.0, LIMITS)
    breaker.succeeded(LIMITS)
    breaker.force_trial()
    breaker.succeeded(LIMITS)
    assert state(breaker) is BreakerState.CLOSED


def test_failures_of_calls_from_before_it_opened_do_not_keep_it_open() -> None:
    breaker = opened()
    breaker.failed(50.0, LIMITS)
    assert breaker.admits(60.0, LIMITS)


EVENTS = st.sampled_from(["call", "succeed", "fail", "abandon"])


@given(st.lists(st.tuples(EVENTS, st.floats(0, 50)), max_size=80))
def test_whatever_happens_it_closes_again_when_calls_succeed(events: list[tuple[str, float]]) -> None:
    breaker, now = CircuitBreaker(), 0.0
    for event, passed in events:
        now += passed
        if event == "call" and breaker.admits(now, LIMITS):
            breaker.admit(now, LIMITS)
            assert state(breaker) is not BreakerState.OPEN
        elif event == "succeed":
            breaker.succeeded(LIMITS)
        elif event == "fail":
            breaker.failed(now, LIMITS)
        elif event == "abandon":
            breaker.abandoned()
        assert 0.0 <= breaker.retry_after(now, LIMITS) <= LIMITS.open_duration + 1e-9
    breaker.abandoned()
    now += LIMITS.open_duration
    for _ in range(LIMITS.success_threshold):
        assert breaker.admits(now, LIMITS)
        breaker.admit(now, LIMITS)
        breaker.succeeded(LIMITS)
    assert state(breaker) is BreakerState.CLOSED
