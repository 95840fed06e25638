from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.decaying_rate import DecayingRate


def test_without_outcomes_there_is_no_rate_but_that_of_the_prior() -> None:
    rate = DecayingRate(10.0)
    assert rate.rate(5.0) is None
    assert rate.rate(5.0, 1.0) == 1.0
    assert rate.trials(5.0) == 0.0


def test_at_one_time_it_is_the_plain_share() -> None:
    rate = DecayingRate(10.0)
    for success in (True, False, False, True, True):
        rate.observe(success, 7.0)
    assert rate.rate(7.0) == pytest.approx(0.6)
    assert rate.rate(7.0, 1.0) == pytest.approx(4 / 6)
    assert rate.trials(7.0) == pytest.approx(5.0)


def test_an_outcome_counts_half_after_a_half_life() -> None:
    rate = DecayingRate(10.0)
    rate.observe(False, 0.0)
    rate.observe(True, 10.0)
    assert rate.rate(10.0) == pytest.approx(1 / 1.5)
    assert rate.trials(20.0) == pytest.approx(0.75)


def test_with_time_it_goes_back_to_the_prior() -> None:
    rate = DecayingRate(10.0)
    for _ in range(20):
        rate.observe(False, 0.0)
    at = [rate.rate(now, 1.0) or 0.0 for now in (0.0, 20.0, 50.0, 200.0)]
    assert at == sorted(at)
    assert at[0] == pytest.approx(1 / 21)
    assert at[-1] == pytest.approx(1.0, abs=1e-4)


@given(st.lists(st.tuples(st.booleans(), st.floats(0, 1e4)), min_size=1))
def test_it_is_a_share_and_nothing_else(outcomes: list[tuple[bool, float]]) -> None:
    rate, now = DecayingRate(10.0), 0.0
    for success, passed in outcomes:
        now += passed
        rate.observe(success, now)
        share = rate.rate(now)
        assert share is not None
        assert -1e-9 <= share <= 1 + 1e-9
        assert rate.trials(now) <= len(outcomes)


@given(st.lists(st.one_of(st.none(), st.booleans(), st.sampled_from(["look"])), max_size=40), st.floats(0, 30))
def test_a_success_without_a_time_counts_as_one_at_the_next_look_or_outcome(
    steps: list[bool | str | None], apart: float
) -> None:
    quick, timed, now = DecayingRate(10.0), DecayingRate(10.0), 0.0
    waiting = 0
    for step in steps:
        now += apart
        if step is None:
            quick.succeed()
            waiting += 1
            continue
        for _ in range(waiting):
            timed.observe(True, now)
        waiting = 0
        if isinstance(step, bool):
            quick.observe(step, now)
            timed.observe(step, now)
        assert quick.trials(now) == pytest.approx(timed.trials(now))
        assert quick.rate(now, 1.0) == pytest.approx(timed.rate(now, 1.0))
