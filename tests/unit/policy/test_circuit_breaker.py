from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.circuit_breaker import BreakerLimits, BreakerState, CircuitBreaker

LIMITS = BreakerLimits(failure_threshold=3, open_duration=60.0, success_threshold=2)


def state(breaker: CircuitBreaker) -> BreakerState:
    return breaker.state


def opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for client in ("a", "b", "c"):
        breaker.admit(client, at, LIMITS)
        breaker.failed(client, at, LIMITS)
    assert state(breaker) is BreakerState.OPEN
    return breaker


def half_open(at: float = 60.0) -> CircuitBreaker:
    """With its first trial under way."""
    breaker = opened()
    assert breaker.admits("a", at, LIMITS)
    breaker.admit("a", at, LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN
    return breaker


def test_the_values_are_those_of_the_metric() -> None:
    assert [BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN] == [0, 1, 2]


def test_only_failures_in_a_row_open_it() -> None:
    breaker = CircuitBreaker()
    for _ in range(5):
        breaker.failed("a", 0.0, LIMITS)
        breaker.failed("a", 0.0, LIMITS)
        breaker.succeeded("a", LIMITS)
    assert state(breaker) is BreakerState.CLOSED
    for client in "aba":
        breaker.failed(client, 0.0, LIMITS)
    assert state(breaker) is BreakerState.OPEN


def test_it_is_idle_while_there_is_nothing_to_remember() -> None:
    breaker = CircuitBreaker()
    assert breaker.idle
    breaker.failed("a", 0.0, LIMITS)
    assert not breaker.idle
    breaker.succeeded("a", LIMITS)
    assert breaker.idle
    assert not opened().idle


def test_open_it_admits_nobody_until_its_time_is_over() -> None:
    breaker = opened(at=5.0)
    assert not breaker.admits("a", 64.9, LIMITS)
    assert breaker.retry_after(64.0, LIMITS) == 1.0
    assert breaker.admits("a", 65.0, LIMITS)
    assert breaker.retry_after(70.0, LIMITS) == 0.0
    assert state(breaker) is BreakerState.OPEN  # asking changes nothing


def test_half_open_it_admits_one_call_at_a_time() -> None:
    breaker = half_open()
    assert not breaker.admits("a", 61.0, LIMITS)
    breaker.succeeded("a", LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.admits("a", 61.0, LIMITS)


def test_so_many_good_trials_close_it() -> None:
    breaker = half_open()
    breaker.succeeded("a", LIMITS)
    breaker.admit("a", 61.0, LIMITS)
    breaker.succeeded("a", LIMITS)
    assert state(breaker) is BreakerState.CLOSED
    assert breaker.idle


def test_a_bad_trial_opens_it_for_the_whole_time_again_and_the_good_ones_so_far_are_void() -> None:
    breaker = half_open()
    breaker.succeeded("a", LIMITS)
    breaker.admit("a", 70.0, LIMITS)
    breaker.failed("a", 80.0, LIMITS)
    assert not breaker.admits("a", 139.9, LIMITS)
    breaker.admit("a", 140.0, LIMITS)
    breaker.succeeded("a", LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN


def test_a_trial_without_a_verdict_makes_room_for_the_next() -> None:
    breaker = half_open()
    breaker.abandoned("a")
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.admits("a", 61.0, LIMITS)


def test_a_call_that_goes_before_its_time_changes_nothing_unless_it_succeeds() -> None:
    breaker = opened()
    for now in range(50):
        breaker.admit("a", now, LIMITS)
        breaker.failed("a", now, LIMITS)
        assert state(breaker) is BreakerState.OPEN
    assert breaker.admits("a", 60.0, LIMITS), "the time is that of the first opening"
    breaker.admit("a", 50.0, LIMITS)
    breaker.succeeded("a", LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN
    breaker.succeeded("a", LIMITS)
    assert state(breaker) is BreakerState.CLOSED


def opened_by_one() -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(LIMITS.failure_threshold):
        breaker.failed("mallory", 0.0, LIMITS)
    return breaker


def test_failures_of_one_client_open_it_for_that_client_alone() -> None:
    breaker = opened_by_one()
    assert (state(breaker), breaker.only) == (BreakerState.OPEN, "mallory")
    assert not breaker.admits("mallory", 1.0, LIMITS)
    assert breaker.admits("alice", 1.0, LIMITS)
    breaker.admit("alice", 1.0, LIMITS)
    breaker.succeeded("alice", LIMITS)
    assert not breaker.admits("mallory", 1.0, LIMITS), "what others are answered does not excuse the client"
    breaker.admit("mallory", 60.0, LIMITS)
    breaker.failed("mallory", 60.0, LIMITS)
    assert not breaker.admits("mallory", 119.0, LIMITS)
    assert breaker.admits("alice", 119.0, LIMITS)


def test_the_next_clients_failure_opens_it_for_everybody() -> None:
    breaker = opened_by_one()
    breaker.failed("alice", 2.0, LIMITS)
    assert (state(breaker), breaker.only) == (BreakerState.OPEN, None)
    assert not breaker.admits("bob", 61.0, LIMITS)
    assert breaker.admits("bob", 62.0, LIMITS)


def test_an_answer_to_another_client_in_between_breaks_the_row() -> None:
    breaker = opened_by_one()
    breaker.succeeded("alice", LIMITS)
    breaker.failed("alice", 2.0, LIMITS)
    assert breaker.admits("alice", 2.0, LIMITS)
    assert breaker.admits("bob", 2.0, LIMITS)


def test_a_client_whose_trials_succeed_is_one_like_others_again() -> None:
    breaker = opened_by_one()
    for _ in range(LIMITS.success_threshold):
        breaker.admit("mallory", 60.0, LIMITS)
        breaker.succeeded("mallory", LIMITS)
    assert breaker.idle
    assert breaker.only is None


def test_what_another_client_does_neither_takes_nor_frees_the_place_of_a_trial() -> None:
    breaker = opened_by_one()
    breaker.admit("mallory", 60.0, LIMITS)
    breaker.admit("alice", 60.0, LIMITS)
    breaker.abandoned("alice")
    assert not breaker.admits("mallory", 60.0, LIMITS)


def test_one_that_concerned_a_client_who_never_came_again_is_forgotten() -> None:
    breaker = opened_by_one()
    assert not breaker.forgettable(100.0, LIMITS)
    assert breaker.forgettable(120.0, LIMITS)
    assert not opened().forgettable(1e6, LIMITS)


def test_failures_of_calls_from_before_it_opened_do_not_keep_it_open() -> None:
    breaker = opened()
    breaker.failed("a", 50.0, LIMITS)
    assert breaker.admits("a", 60.0, LIMITS)


EVENTS = st.sampled_from(["call", "succeed", "fail", "abandon"])


@given(st.lists(st.tuples(EVENTS, st.floats(0, 50)), max_size=80))
def test_whatever_happens_it_closes_again_when_calls_succeed(events: list[tuple[str, float]]) -> None:
    breaker, now = CircuitBreaker(), 0.0
    for event, passed in events:
        now += passed
        if event == "call" and breaker.admits("a", now, LIMITS):
            breaker.admit("a", now, LIMITS)
            assert state(breaker) is not BreakerState.OPEN
        elif event == "succeed":
            breaker.succeeded("a", LIMITS)
        elif event == "fail":
            breaker.failed("a", now, LIMITS)
        elif event == "abandon":
            breaker.abandoned("a")
        assert 0.0 <= breaker.retry_after(now, LIMITS) <= LIMITS.open_duration + 1e-9
    breaker.abandoned("a")
    now += LIMITS.open_duration
    for _ in range(LIMITS.success_threshold):
        assert breaker.admits("a", now, LIMITS)
        breaker.admit("a", now, LIMITS)
        breaker.succeeded("a", LIMITS)
    assert state(breaker) is BreakerState.CLOSED
