"""What becomes of an endpoint that answers nothing, as time goes by."""

from __future__ import annotations

from time import monotonic

import pytest

from mcppool.pipeline.pool.housekeeping import sweep
from mcppool.policy.wait_for_endpoint import STARTING_HOLD
from mcppool.upstream.failures import ConnectFailed
from tests.unit.pipeline.pools import pool_of


async def test_a_busy_endpoint_gets_new_calls_last() -> None:
    pool = pool_of("", "a", "b", "c")
    a, b, c = pool.endpoints.values()
    a.falls_silent(monotonic(), "no answer")
    assert a.state == "busy"
    assert set(pool.choice.candidates) == {b, c}
    assert pool.choice.others((b, c)) == (a,), "where nobody else is left, it is asked"
    for other in (b, c):
        other.falls_silent(monotonic(), "no answer")
    assert set(pool.choice.candidates) == {a, b, c}
    a.checked(True, pool.spec)
    assert a.state == "available"
    assert pool.choice.candidates == (a,)


@pytest.mark.parametrize(
    ("sections", "hung_after"),
    [
        pytest.param('[outlier_detection]\nhung_after = "20s"', 20.0, id="as-configured"),
        pytest.param('[timeouts]\nrequest = "10s"\nfirst_byte = "10s"', 5.0, id="half-of-what-a-call-may-take"),
    ],
)
async def test_a_silence_that_lasts_too_long_is_a_hang(sections: str, hung_after: float) -> None:
    pool = pool_of(sections, "a", "b")
    a, b = pool.endpoints.values()
    began = monotonic()
    a.falls_silent(began, "no answer")
    sweep(pool, began + hung_after - 0.5)
    assert a.state == "busy"
    sweep(pool, began + hung_after + 0.5)
    assert a.state == "hung"
    assert pool.choice.candidates == (b,)
    a.checked(True, pool.spec)
    assert a.available


async def test_a_silence_that_it_came_back_from_before_is_waited_for() -> None:
    pool = pool_of('[outlier_detection]\nhung_after = "1s"', "a", "b")
    a, _ = pool.endpoints.values()
    began = monotonic()
    a.silences.begin(began - 30.0)
    a.silences.end(began)
    a.falls_silent(began, "no answer")
    sweep(pool, began + 40.0)
    assert a.state == "busy"
    sweep(pool, began + 46.0)
    assert a.state == "hung"


async def test_who_refuses_connections_is_unreachable_and_what_was_learned_is_forgotten() -> None:
    pool = pool_of("", "a", "b")
    a, _ = pool.endpoints.values()
    a.silences.begin(monotonic() - 9.0)
    a.silences.end(monotonic())
    a.falls_silent(monotonic(), "no answer")
    a.unreached(ConnectFailed("refused"))
    assert a.state == "unreachable"
    assert not a.silences.longest(monotonic())
    assert not pool.stands_still


async def test_calls_are_held_while_no_server_has_ever_answered() -> None:
    pool = pool_of("", "a", "b")
    assert pool.starting == STARTING_HOLD
    a, b = pool.endpoints.values()
    pool.not_started |= dict.fromkeys((a.key, b.key), "there is no such program")
    assert pool.starting == 0.0, "they never will"
    pool.not_started.clear()
    a.checked(True, pool.spec)
    a.unreached(ConnectFailed("refused"))
    b.unreached(ConnectFailed("refused"))
    assert pool.starting == 0.0
