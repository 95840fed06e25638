"""The delay of a hedge, learned from calls; and a replayed trace."""

from __future__ import annotations

import random

import pytest

from mcppool.policy.hedge_delay import ENOUGH, LEAST, SAMPLES, HedgeDelay


@pytest.mark.parametrize(
    ("latencies", "least", "most"),
    [
        ([0.1] * (ENOUGH - 1), None, None),
        ([0.1] * ENOUGH, 0.1, 0.1),
        ([0.0001] * ENOUGH, LEAST, LEAST),
        ([0.1] * 93 + [9.0] * 7, 9.0, 9.0),
        ([0.1] * 97 + [9.0] * 3, 0.1, 0.1),
        ([9.0] * SAMPLES + [0.1] * SAMPLES, 0.1, 0.1),
    ],
)
def test_the_delay_is_the_95th_percentile_of_the_last_calls(
    latencies: list[float], least: float | None, most: float | None
) -> None:
    delay = HedgeDelay()
    for latency in latencies:
        delay.observe(latency)
    if least is None or most is None:
        assert delay.seconds is None
    else:
        assert delay.seconds is not None
        assert least <= delay.seconds <= most


def replayed(fixed: float | None) -> tuple[float, float]:
    """A server that answers in 20 ms as a rule, and one call in thirty in a second. Returns the 99th percentile of the
    calls and the share of hedges, with this delay, or with the learned one."""
    rng, delay = random.Random(2), HedgeDelay()

    def latency() -> float:
        return rng.uniform(0.9, 1.1) if rng.random() < 1 / 30 else rng.uniform(0.01, 0.03)

    durations, hedges = [], 0
    for _ in range(5000):
        after = fixed if fixed is not None else delay.seconds
        took = latency()
        if after is not None and took > after:
            hedges += 1
            took = min(took, after + latency())
        durations.append(took)
        delay.observe(took)
    return sorted(durations)[int(0.99 * len(durations))], hedges / len(durations)


def test_in_a_trace_learned_hedges_cut_the_slow_calls_for_one_more_call_in_twenty() -> None:
    never, _ = replayed(fixed=1e9)
    too_late, _ = replayed(fixed=1.0)
    too_soon, more = replayed(fixed=0.015)
    learned, hedges = replayed(fixed=None)
    assert learned < never / 10
    assert learned < too_late / 10
    assert hedges < 0.08
    assert more > 5 * hedges
    assert learned < 2 * too_soon
