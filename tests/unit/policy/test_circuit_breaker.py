from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.circuit_breaker import BreakerLimits, BreakerState, CircuitBreaker
from mcppool.policy.consecutive_failures import PERSISTENT, ClientKey

LIMITS = BreakerLimits(failure_threshold=3, open_duration=60.0, success_threshold=2)


MALLORY, ALICE, BOB = (ClientKey(name, "10.0.0.1") for name in ("mallory", "alice", "bob"))
A, B, C = (ClientKey(name, name) for name in "ABC")


def state(breaker: CircuitBreaker) -> BreakerState:
    return breaker.state


def opened(at: float = 0.0) -> CircuitBreaker:
    breaker = CircuitBreaker()
    for client in (A, B, C):
        breaker.admit(client, at, LIMITS)
        breaker.failed(client, at, LIMITS)
    assert state(breaker) is BreakerState.OPEN
    return breaker


def half_open(at: float = 60.0) -> CircuitBreaker:
    """With its first trial in flight."""
    breaker = opened()
    assert breaker.admits(A, at, LIMITS)
    breaker.admit(A, at, LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN
    return breaker


def test_the_values_are_those_of_the_metric() -> None:
    assert [BreakerState.CLOSED, BreakerState.HALF_OPEN, BreakerState.OPEN] == [0, 1, 2]


def test_only_failures_in_a_row_open_it() -> None:
    breaker = CircuitBreaker()
    for _ in range(5):
        breaker.failed(A, 0.0, LIMITS)
        breaker.failed(A, 0.0, LIMITS)
        breaker.succeeded(A, LIMITS)
    assert state(breaker) is BreakerState.CLOSED
    for client in (A, B, A):
        breaker.failed(client, 0.0, LIMITS)
    assert state(breaker) is BreakerState.OPEN


def test_it_is_idle_while_there_is_nothing_to_remember() -> None:
    breaker = CircuitBreaker()
    assert breaker.idle
    breaker.failed(A, 0.0, LIMITS)
    assert not breaker.idle
    breaker.succeeded(A, LIMITS)
    assert breaker.idle
    assert not opened().idle


def test_an_open_breaker_admits_no_call_until_its_time_is_over() -> None:
    breaker = opened(at=5.0)
    assert not breaker.admits(A, 64.9, LIMITS)
    assert breaker.retry_after(64.0, LIMITS) == 1.0
    assert breaker.admits(A, 65.0, LIMITS)
    assert breaker.retry_after(70.0, LIMITS) == 0.0
    assert state(breaker) is BreakerState.OPEN  # asking changes nothing


def test_half_open_it_admits_one_call_at_a_time() -> None:
    breaker = half_open()
    assert not breaker.admits(A, 61.0, LIMITS)
    breaker.succeeded(A, LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.admits(A, 61.0, LIMITS)


def test_so_many_good_trials_close_it() -> None:
    breaker = half_open()
    breaker.succeeded(A, LIMITS)
    breaker.admit(A, 61.0, LIMITS)
    breaker.succeeded(A, LIMITS)
    assert state(breaker) is BreakerState.CLOSED
    assert breaker.idle


def test_a_bad_trial_opens_it_for_the_whole_time_again_and_the_good_ones_so_far_are_void() -> None:
    breaker = half_open()
    breaker.succeeded(A, LIMITS)
    breaker.admit(A, 70.0, LIMITS)
    breaker.failed(A, 80.0, LIMITS)
    assert not breaker.admits(A, 139.9, LIMITS)
    breaker.admit(A, 140.0, LIMITS)
    breaker.succeeded(A, LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN


def test_a_trial_without_a_verdict_makes_room_for_the_next() -> None:
    breaker = half_open()
    breaker.abandoned(A)
    assert state(breaker) is BreakerState.HALF_OPEN
    assert breaker.admits(A, 61.0, LIMITS)


def test_a_call_that_goes_before_its_time_changes_nothing_unless_it_succeeds() -> None:
    breaker = opened()
    for now in range(50):
        breaker.admit(A, now, LIMITS)
        breaker.failed(A, now, LIMITS)
        assert state(breaker) is BreakerState.OPEN
    assert breaker.admits(A, 60.0, LIMITS), "the time is that of the first opening"
    breaker.admit(A, 50.0, LIMITS)
    breaker.succeeded(A, LIMITS)
    assert state(breaker) is BreakerState.HALF_OPEN
    breaker.succeeded(A, LIMITS)
    assert state(breaker) is BreakerState.CLOSED


def opened_by_one() -> CircuitBreaker:
    breaker = CircuitBreaker()
    for _ in range(LIMITS.failure_threshold):
        breaker.failed(MALLORY, 0.0, LIMITS)
    return breaker


def test_failures_of_one_client_open_it_for_that_client_alone() -> None:
    breaker = opened_by_one()
    assert (state(breaker), breaker.only) == (BreakerState.OPEN, MALLORY)
    assert not breaker.admits(MALLORY, 1.0, LIMITS)
    assert breaker.admits(ALICE, 1.0, LIMITS)
    breaker.admit(ALICE, 1.0, LIMITS)
    breaker.succeeded(ALICE, LIMITS)
    assert not breaker.admits(MALLORY, 1.0, LIMITS), "what others are answered does not excuse the client"
    breaker.admit(MALLORY, 60.0, LIMITS)
    breaker.failed(MALLORY, 60.0, LIMITS)
    assert not breaker.admits(MALLORY, 119.0, LIMITS)
    assert breaker.admits(ALICE, 119.0, LIMITS)


def test_a_failure_of_another_client_opens_it_for_all() -> None:
    breaker = opened_by_one()
    breaker.failed(A, 2.0, LIMITS)
    assert (state(breaker), breaker.only) == (BreakerState.OPEN, None)
    assert not breaker.admits(BOB, 61.0, LIMITS)
    assert breaker.admits(BOB, 62.0, LIMITS)


def test_a_second_failure_of_another_session_or_connection_from_the_same_address_opens_it_for_all() -> None:
    breaker = opened_by_one()
    breaker.failed(ALICE, 2.0, LIMITS)
    assert breaker.admits(BOB, 2.0, LIMITS)
    breaker.failed(ALICE, 3.0, LIMITS)
    assert not breaker.admits(BOB, 3.0, LIMITS)


def test_a_client_with_a_connection_for_each_call_is_not_many() -> None:
    breaker = CircuitBreaker()
    for n in range(100):
        breaker.failed(ClientKey(n, "10.0.0.1"), 1.0, LIMITS)
    assert breaker.admits(ALICE, 1.0, LIMITS)
    breaker.failed(ClientKey("one more", "10.0.0.1"), 1.0 + PERSISTENT, LIMITS)
    assert not breaker.admits(ALICE, 1.0 + PERSISTENT, LIMITS), "nothing but failures for so long is no client's fault"


def test_an_answer_to_another_client_in_between_breaks_the_row() -> None:
    breaker = opened_by_one()
    breaker.succeeded(ALICE, LIMITS)
    breaker.failed(ALICE, 2.0, LIMITS)
    assert breaker.admits(ALICE, 2.0, LIMITS)
    assert breaker.admits(BOB, 2.0, LIMITS)


def test_a_client_whose_trials_succeed_is_one_like_others_again() -> None:
    breaker = opened_by_one()
    for _ in range(LIMITS.success_threshold):
        breaker.admit(MALLORY, 60.0, LIMITS)
        breaker.succeeded(MALLORY, LIMITS)
    assert breaker.idle
    assert breaker.only is None


def test_another_client_neither_takes_nor_frees_the_place_of_a_trial() -> None:
    breaker = opened_by_one()
    breaker.admit(MALLORY, 60.0, LIMITS)
    breaker.admit(ALICE, 60.0, LIMITS)
    breaker.abandoned(ALICE)
    assert not breaker.admits(MALLORY, 60.0, LIMITS)


def test_a_breaker_of_a_client_that_never_returns_is_forgotten() -> None:
    breaker = opened_by_one()
    assert not breaker.forgettable(100.0, LIMITS)
    assert breaker.forgettable(120.0, LIMITS)
    assert not opened().forgettable(1e6, LIMITS)


def test_failures_of_calls_from_before_it_opened_do_not_keep_it_open() -> None:
    breaker = opened()
    breaker.failed(A, 50.0, LIMITS)
    assert breaker.admits(A, 60.0, LIMITS)


EVENTS = st.sampled_from(["call", "succeed", "fail", "abandon"])


@given(st.lists(st.tuples(EVENTS, st.floats(0, 50)), max_size=80))
def test_whatever_happens_it_closes_again_when_calls_succeed(events: list[tuple[str, float]]) -> None:
    breaker, now = CircuitBreaker(), 0.0
    for event, passed in events:
        now += passed
        if event == "call" and breaker.admits(A, now, LIMITS):
            breaker.admit(A, now, LIMITS)
            assert state(breaker) is not BreakerState.OPEN
        elif event == "succeed":
            breaker.succeeded(A, LIMITS)
        elif event == "fail":
            breaker.failed(A, now, LIMITS)
        elif event == "abandon":
            breaker.abandoned(A)
        assert 0.0 <= breaker.retry_after(now, LIMITS) <= LIMITS.open_duration + 1e-9
    breaker.abandoned(A)
    now += LIMITS.open_duration
    for _ in range(LIMITS.success_threshold):
        assert breaker.admits(A, now, LIMITS)
        breaker.admit(A, now, LIMITS)
        breaker.succeeded(A, LIMITS)
    assert state(breaker) is BreakerState.CLOSED
