from __future__ import annotations

from dataclasses import dataclass, field

import pytest

from mcppool.policy.decaying_rate import DecayingRate
from mcppool.policy.health_score import HALF_LIFE, renew_scores
from mcppool.policy.peak_ewma import PeakEwma


@dataclass
class Endpoint:
    well: bool = True
    score: float = -1.0
    success: DecayingRate = field(default_factory=lambda: DecayingRate(HALF_LIFE))
    latency: PeakEwma = field(default_factory=PeakEwma)


def endpoint(outcomes: str = "+", latency: float = 0.1, at: float = 0.0, *, well: bool = True) -> Endpoint:
    made = Endpoint(well)
    for outcome in outcomes:
        made.success.observe(outcome == "+", at)
        made.latency.observe(latency, at)
    return made


def scores(*endpoints: Endpoint, now: float = 0.0) -> list[float]:
    renew_scores(endpoints, now)
    return [each.score for each in endpoints]


def test_success_counts_for_seven_tenths_and_latency_for_three() -> None:
    assert scores(endpoint(), endpoint("+-"), endpoint("-"), endpoint(latency=0.4)) == pytest.approx(
        [1.0, 0.65, 0.3, 0.7 + 0.3 / 4]
    )


def test_one_that_is_not_well_has_none_and_is_no_measure_for_the_others() -> None:
    assert scores(endpoint(latency=0.001, well=False), endpoint(latency=0.1)) == pytest.approx([0.0, 1.0])


def test_a_new_one_has_the_mean_of_the_others() -> None:
    assert scores(endpoint(), endpoint("-"), Endpoint()) == pytest.approx([1.0, 0.3, 0.65])


def test_the_mean_leaves_out_those_that_are_out() -> None:
    assert scores(endpoint(well=False), endpoint("+-"), Endpoint())[2] == pytest.approx(0.65)


def test_where_nothing_is_known_all_are_well() -> None:
    assert scores(Endpoint(), Endpoint()) == [1.0, 1.0]


def test_one_that_has_had_no_calls_for_long_is_as_a_new_one() -> None:
    idle = endpoint("-")
    busy = endpoint("+-", at=100.0)
    assert scores(idle, endpoint("+-", at=20.0), now=20.0)[0] < 0.4
    assert scores(idle, busy, now=100.0) == pytest.approx([0.65, 0.65])


def test_failures_are_forgotten_with_a_half_life_of_ten_seconds() -> None:
    one = endpoint("-")
    one.success.observe(True, HALF_LIFE)
    one.latency.observe(0.1, HALF_LIFE)
    assert scores(one, now=HALF_LIFE)[0] == pytest.approx(0.7 / 1.5 + 0.3)
