"""When an endpoint is suspected, by the latencies of its tools; and a replayed trace."""

from __future__ import annotations

import random
from bisect import bisect_left

import pytest

from mcppool.observe.tool_stats import DURATION_BOUNDS
from mcppool.policy.suspicion import LEAST, MOST, RecentLatencies, suspect_after


@pytest.mark.parametrize(
    ("high", "mean", "expected"),
    [
        ([], 0.0, 1.0),
        ([], 0.5, 2.0),
        ([], 60.0, MOST),
        ([0.005], 4.0, LEAST),
        ([1.0], 0.001, 2.0),
        ([0.005, 2.5], 0.0, 5.0),
        ([MOST], 0.0, MOST),
        ([None], 0.0, 1.0),
        ([None, 0.005], 0.0, 1.0),
        ([None, 2.5], 0.1, 5.0),
    ],
)
def test_the_slowest_tool_at_work_decides_within_bounds(high: list[float | None], mean: float, expected: float) -> None:
    assert suspect_after(high, mean) == expected


def counts_of(latencies: list[float]) -> list[int]:
    counts = [0] * (len(DURATION_BOUNDS) + 1)
    for latency in latencies:
        counts[bisect_left(DURATION_BOUNDS, latency)] += 1
    return counts


def test_a_tool_is_known_after_some_calls_and_a_change_is_learned_in_minutes() -> None:
    recent, fast, slow = RecentLatencies(DURATION_BOUNDS), [0.004] * 1000, [4.0] * 30
    recent.take(counts_of(fast[:10]))
    assert recent.high() is None
    recent.take(counts_of(fast))
    assert recent.high() == 0.005
    for number in range(1, 4):  # half a minute later
        recent.take(counts_of(fast + slow * number))
    assert recent.high() == 5.0
    for _ in range(60):
        recent.take(counts_of(fast + slow * 3))
    assert recent.high() is None, "calls of ten minutes ago say nothing"


def replayed(threshold_of: str) -> tuple[int, float]:
    """Calls of a quick and of a slow tool at a healthy replica, then a hang under a quick call. Returns how many
    healthy calls are suspected, and the seconds until the hang is."""
    rng = random.Random(1)
    trace = [("quick", rng.lognormvariate(-5.5, 0.5)) for _ in range(900)]
    trace += [("slow", rng.lognormvariate(1.2, 0.5)) for _ in range(100)]
    rng.shuffle(trace)
    recent = {tool: RecentLatencies(DURATION_BOUNDS) for tool in ("quick", "slow")}
    mean, suspected, seen = 0.0, 0, {"quick": list[float](), "slow": list[float]()}

    def threshold(tool: str) -> float:
        return max(1.0, 4 * mean) if threshold_of == "mean" else suspect_after([recent[tool].high()], mean)

    for number, (tool, latency) in enumerate(trace):
        suspected += latency > threshold(tool)
        mean = mean + (latency - mean) * 0.1 if mean else latency
        seen[tool].append(latency)
        if number % 50 == 49:
            for name, latencies in recent.items():
                latencies.take(counts_of(seen[name]))
    return suspected, threshold("quick")


def test_in_a_trace_a_hang_is_suspected_earlier_and_slow_calls_less_often_than_by_the_mean() -> None:
    checks_before, hang_before = replayed("mean")
    checks, hang = replayed("tools")
    assert checks < checks_before / 2
    assert hang <= hang_before / 2
