"""`outlier_detection.suspect_after = "auto"` in a pool: learned from answers, for the tools at work at an endpoint."""

from __future__ import annotations

from time import monotonic

import pytest

from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.probers import Probers
from mcppool.pipeline.usual_latencies import EVERY
from mcppool.policy.suspicion import FACTOR, LEAST, LEAST_UNKNOWN, MOST
from mcppool.upstream.endpoint import Endpoint
from tests.unit.pipeline.pools import pool_of
from tests.unit.pipeline.test_silent_endpoints import answered, call_under_way


def sweep(pool: ServerPool, number: int) -> None:
    """Look at the histograms for the time number `number`."""
    pool.housekeeping.usual.sweep(number * (EVERY + 1.0))


@pytest.mark.parametrize(("took", "expected"), [(0.004, LEAST), (0.8, FACTOR * 1.0), (4.0, FACTOR * 5.0), (60.0, MOST)])
async def test_it_is_learned_from_the_answers_of_the_tool_at_work(took: float, expected: float) -> None:
    pool = pool_of("", "a", "b")
    a, b = pool.endpoints.values()
    usual = pool.housekeeping.usual
    call_under_way(a, "read")
    assert usual.suspect_after(a) == LEAST_UNKNOWN, "nothing is known yet"
    answered(pool, "read", *[took] * 100)
    sweep(pool, 1)
    assert usual.suspect_after(a) == expected
    assert usual.suspect_after(b) == LEAST_UNKNOWN, "no tool that is known is at work there"


async def test_the_slowest_tool_at_work_decides_at_each_endpoint() -> None:
    pool = pool_of("", "a", "b")
    a, b = pool.endpoints.values()
    answered(pool, "read", *[0.004] * 100)
    answered(pool, "write", *[4.0] * 100)
    sweep(pool, 1)
    call_under_way(a, "read")
    call_under_way(b, "read")
    call_under_way(b, "write")
    assert pool.housekeeping.usual.suspect_after(a) == LEAST
    assert pool.housekeeping.usual.suspect_after(b) == FACTOR * 5.0


async def test_it_follows_a_tool_that_becomes_slower_and_quick_again() -> None:
    pool = pool_of("", "a")
    (a,) = pool.endpoints.values()
    usual = pool.housekeeping.usual
    call_under_way(a, "read")
    seen = []
    for number in range(1, 181):
        answered(pool, "read", *[2.0 if 60 < number <= 90 else 0.004] * 50)
        sweep(pool, number)
        seen.append(usual.suspect_after(a))
    assert seen[59] == LEAST
    assert seen[89] == FACTOR * 2.5
    assert seen[-1] == LEAST


@pytest.mark.parametrize(
    ("text", "seconds"), [("", FACTOR * 5.0), ('[outlier_detection]\nsuspect_after = "3s"', 3.0)], ids=["auto", "fixed"]
)
async def test_an_endpoint_is_suspected_after_the_learned_time_unless_one_is_configured(
    text: str, seconds: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    suspected: list[Endpoint] = []
    monkeypatch.setattr(Probers, "suspect", lambda _, endpoint: suspected.append(endpoint))
    pool = pool_of(text, "a", "b")
    a, _ = pool.endpoints.values()
    answered(pool, "write", *[4.0] * 100)
    began = monotonic()
    call_under_way(a, "write").waiting_since = began
    a.active = 1
    pool.housekeeping.sweep(began + seconds - 0.5)
    assert suspected == []
    pool.housekeeping.sweep(began + seconds + 0.5)
    assert suspected == [a]
