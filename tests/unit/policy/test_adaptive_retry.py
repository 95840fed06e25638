from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.adaptive_retry import HALF_LIFE, MAX_BUCKETS, MAX_NAMES, AdaptiveRetry, bucket_of
from mcppool.policy.error_class import ErrorClass

BASE, CAP = 1.0, 30.0
SERVER, THROTTLED = ErrorClass.RETRYABLE, ErrorClass.THROTTLED


class NoChance(random.Random):
    """Never explores."""

    def random(self) -> float:
        return 0.999


def decide(
    state: AdaptiveRetry,
    *,
    name: str = "search",
    attempt: int = 2,
    error_class: ErrorClass = SERVER,
    now: float = 0.0,
    waits: int = 1,
    rng: random.Random | None = None,
) -> tuple[bool, float]:
    rng = rng or NoChance()
    return state.decide(name, attempt, error_class, now, waits=waits, base=BASE, cap=CAP, rng=rng)


def learn(
    state: AdaptiveRetry,
    outcomes: str,
    *,
    name: str = "search",
    attempt: int = 2,
    error_class: ErrorClass = SERVER,
    waited: float = 0.0,
    now: float = 0.0,
) -> None:
    for outcome in outcomes:
        state.learn(name, attempt, error_class, waited, outcome == "+", now, base=BASE)


@pytest.mark.parametrize(("waits", "wait"), [(1, 1.0), (2, 2.0), (4, 8.0), (9, 30.0)])
def test_without_history_it_is_the_exponential_strategy(waits: int, wait: float) -> None:
    assert decide(AdaptiveRetry(), attempt=waits + 1, waits=waits) == (True, wait)


def test_a_history_of_failures_changes_the_decision() -> None:
    state = AdaptiveRetry()
    learn(state, "-" * 9)
    assert decide(state)[0]  # one success of ten, the prior's
    learn(state, "-")
    assert not decide(state)[0]


def test_a_history_of_successes_after_short_waits_changes_the_wait() -> None:
    state = AdaptiveRetry()
    before = decide(state, attempt=5, waits=4)
    learn(state, "-+", attempt=5, waited=1.7)
    assert before == (True, 8.0)
    assert decide(state, attempt=5, waits=4) == (True, 2.0)


def test_the_smallest_bucket_that_helps_every_other_time_is_chosen() -> None:
    state = AdaptiveRetry()
    learn(state, "--+", waited=0.9)
    learn(state, "+--", waited=1.9)
    learn(state, "+-", waited=3.0)
    learn(state, "++", waited=7.0)
    assert decide(state) == (True, 4.0)


def test_a_wait_that_never_helped_is_not_chosen() -> None:
    state = AdaptiveRetry()
    learn(state, "---", waited=0.5)
    assert decide(state, waits=3) == (True, 4.0)


def test_very_old_outcomes_are_forgotten() -> None:
    state = AdaptiveRetry()
    learn(state, "+", waited=0.5, now=0.0)
    assert decide(state, waits=3, now=4 * HALF_LIFE) == (True, 1.0)
    assert decide(state, waits=3, now=5 * HALF_LIFE) == (True, 4.0)


def test_attempts_at_once_elsewhere_say_nothing_about_waits() -> None:
    state = AdaptiveRetry()
    learn(state, "+++", waited=0.0)
    assert decide(state, waits=3) == (True, 4.0)


def test_no_learned_wait_exceeds_the_cap() -> None:
    state = AdaptiveRetry()
    learn(state, "+", waited=29.0)
    assert decide(state) == (True, CAP)


@pytest.mark.parametrize("other", [{"name": "write"}, {"attempt": 3}, {"error_class": THROTTLED}])
def test_each_name_attempt_and_class_has_a_history_of_its_own(other: dict[str, object]) -> None:
    state = AdaptiveRetry()
    learn(state, "-" * 20)
    assert not decide(state)[0]
    assert decide(state, **other)[0]  # type: ignore[arg-type]


def test_one_in_twenty_hopeless_attempts_is_made_anyway() -> None:
    state, rng = AdaptiveRetry(), random.Random(3)
    learn(state, "-" * 100)
    made = sum(decide(state, rng=rng)[0] for _ in range(4_000))
    assert made / 4_000 == pytest.approx(1 / 20, abs=0.012)


def test_a_success_of_those_brings_the_attempts_back() -> None:
    state = AdaptiveRetry()
    learn(state, "-" * 12)
    assert not decide(state)[0]
    learn(state, "+")
    assert decide(state)[0]


def test_time_alone_brings_the_attempts_back() -> None:
    state = AdaptiveRetry()
    learn(state, "-" * 36)
    assert not decide(state, now=1.9 * HALF_LIFE)[0]
    assert decide(state, now=2.1 * HALF_LIFE)[0]  # 36 have become 9: a rate of one in ten


def test_names_are_bounded_and_those_used_last_stay() -> None:
    state = AdaptiveRetry()
    learn(state, "-" * 20, name="tool")
    for number in range(3 * MAX_NAMES):
        learn(state, "-", name=f"made-up-{number}")
        if number % 100 == 0:
            learn(state, "-", name="tool")
    assert len({line.name for line in state.snapshot(0.0)}) == MAX_NAMES
    assert not decide(state, name="tool")[0]


@pytest.mark.parametrize(
    ("wait", "base", "bucket"),
    [(0.2, 1.0, 0), (1.0, 1.0, 0), (1.01, 1.0, 1), (2.0, 1.0, 1), (4.0, 1.0, 2), (4.1, 1.0, 3), (0.3, 0.1, 2),
     (600.0, 0.001, MAX_BUCKETS - 1), (5.0, 0.0, 0), (5.0, 5e-324, MAX_BUCKETS - 1)],
)  # fmt: skip
def test_buckets_are_powers_of_two_of_the_base(wait: float, base: float, bucket: int) -> None:
    assert bucket_of(wait, base) == bucket


def test_the_snapshot_lists_the_learned_rates() -> None:
    state = AdaptiveRetry()
    learn(state, "+-", attempt=3, waited=1.5)
    attempt, wait = state.snapshot(0.0)
    assert (attempt.name, attempt.error_class, attempt.attempt, attempt.bucket) == ("search", SERVER, 3, None)
    assert (attempt.rate, attempt.trials) == pytest.approx((2 / 3, 2.0))
    assert (wait.name, wait.error_class, wait.attempt, wait.bucket) == ("search", SERVER, None, 1)
    assert (wait.rate, wait.trials) == pytest.approx((0.5, 2.0))


@given(
    st.lists(
        st.tuples(
            st.integers(2, 10), st.sampled_from(list(ErrorClass)), st.floats(0, 1000), st.booleans(), st.floats(0, 600)
        ),
        max_size=100,
    ),
    st.floats(0, 10),
)
def test_whatever_was_learned_a_wait_is_between_0_and_the_cap(
    history: list[tuple[int, ErrorClass, float, bool, float]], base: float
) -> None:
    state, now = AdaptiveRetry(), 0.0
    for attempt, error_class, waited, success, passed in history:
        now += passed
        state.learn("tool", attempt, error_class, waited, success, now, base=base)
        for waits in (1, attempt - 1):
            made, wait = state.decide(
                "tool", attempt, error_class, now, waits=waits, base=base, cap=20.0, rng=NoChance()
            )
            assert 0.0 <= wait <= 20.0
            assert made or wait == 0.0
