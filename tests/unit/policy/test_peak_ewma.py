from __future__ import annotations

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.peak_ewma import DECAY, PeakEwma


def test_without_a_sample_there_is_no_estimate() -> None:
    assert PeakEwma().estimate == 0.0
    assert PeakEwma().at(1000.0) == 0.0


def test_it_jumps_to_a_peak_at_once() -> None:
    latency = PeakEwma()
    latency.observe(0.1, 1.0)
    latency.observe(2.0, 1.001)
    assert latency.estimate == 2.0


def test_it_comes_down_by_the_formula() -> None:
    latency = PeakEwma()
    latency.observe(1.0, 50.0)
    latency.observe(0.1, 55.0)
    assert latency.estimate == pytest.approx(1.0 * exp(-0.5) + 0.1 * (1 - exp(-0.5)))
    before = latency.estimate
    latency.observe(0.1, 55.0)
    assert latency.estimate == before  # no time has passed


def test_it_decays_while_no_sample_comes_and_looking_changes_nothing() -> None:
    latency = PeakEwma()
    latency.observe(1.0, 5.0)
    assert latency.at(5.0) == 1.0
    assert latency.at(5.0 + DECAY) == pytest.approx(exp(-1))
    assert latency.at(5.0) == 1.0


@given(st.lists(st.tuples(st.floats(1e-6, 60), st.floats(0, 100)), min_size=1))
def test_it_stays_between_the_lowest_and_the_highest_sample(samples: list[tuple[float, float]]) -> None:
    latency, now = PeakEwma(), 0.0
    for rtt, passed in samples:
        now += passed
        latency.observe(rtt, now)
        assert latency.estimate >= rtt * (1 - 1e-9)
    times = [rtt for rtt, _ in samples]
    assert min(times) * (1 - 1e-9) <= latency.estimate <= max(times)


def test_the_shown_latency_is_measured_without_penalties() -> None:
    latency = PeakEwma()
    latency.penalise(15.0, 1.0)
    assert (latency.estimate, latency.measured) == (15.0, 0.0)
    for n in range(200):
        latency.observe(0.02, 2.0 + n)
    latency.penalise(15.0, 300.0)
    assert latency.estimate == 15.0
    assert latency.measured == pytest.approx(0.02)
    for n in range(100):
        latency.observe(0.3, 301.0 + n)
    assert latency.measured == pytest.approx(0.3, rel=0.01)
