"""The states of a silent endpoint over time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from time import monotonic

import pytest

from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.wait_for_endpoint import STARTING_HOLD
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.http.connection import Connection
from tests.unit.pipeline.pools import planned, pool_of
from tests.unit.pipeline.test_choosing import call


def call_under_way(endpoint: Endpoint, tool: str) -> Connection:
    """Have the endpoint hold a call of `tool`."""
    connection = Connection(asyncio.get_running_loop(), endpoint.connections)
    connection.tool = tool
    endpoint.connections.leased.add(connection)
    return connection


def answered(pool: ServerPool, tool: str, *seconds: float) -> None:
    """Calls of `tool` were answered in so many seconds each."""
    pool.metrics.known_tools = pool.settings.catalog.tools.keys()
    stats = pool.metrics.tool(tool)
    stats.success += len(seconds)
    for took in seconds:
        stats.duration.observe(took)


async def test_a_busy_endpoint_gets_new_calls_last() -> None:
    pool = pool_of("", "a", "b", "c")
    a, b, c = pool.endpoints.values()
    a.health.falls_silent(monotonic(), "no answer")
    assert a.state == "busy"
    assert set(pool.picker.candidates) == {b, c}
    assert pool.picker.others((b, c)) == (a,), "where nobody else is left, it is asked"
    for other in (b, c):
        other.health.falls_silent(monotonic(), "no answer")
    assert set(pool.picker.candidates) == {a, b, c}
    a.health.checked(True, pool.spec)
    assert a.state == "available"
    assert pool.picker.candidates == (a,)


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
    call_under_way(a, "write")
    a.health.falls_silent(began, "no answer")
    pool.housekeeping.sweep(began + hung_after - 0.5)
    assert a.state == "busy"
    pool.housekeeping.sweep(began + hung_after + 0.5)
    assert a.state == "hung"
    assert pool.picker.candidates == (b,)
    a.health.checked(True, pool.spec)
    assert a.available


@pytest.mark.parametrize(
    ("tool", "took", "state"),
    [
        pytest.param("write", (), "busy", id="never-answered"),
        pytest.param("write", (6.0,), "busy", id="takes-long"),
        pytest.param("write", (0.01, 6.0), "busy", id="takes-long-every-second-time"),
        pytest.param("write", (0.01,), "hung", id="quick"),
        pytest.param("write", (0.01, 0.01, 4.0), "hung", id="mostly-quick"),
        pytest.param(None, (), "hung", id="no-tool"),
    ],
)
async def test_a_silence_without_a_past_is_a_hang_unless_a_call_there_may_take_long(
    tool: str | None, took: tuple[float, ...], state: str
) -> None:
    pool = pool_of("", "a", "b")
    a, _ = pool.endpoints.values()
    answered(pool, "read", 0.01)
    call_under_way(a, "read")
    if tool is not None:
        answered(pool, tool, *took)
        call_under_way(a, tool)
    began = monotonic()
    a.health.falls_silent(began, "no answer")
    pool.housekeeping.sweep(began + 3.0)
    assert a.state == state


async def test_an_answer_to_a_call_gives_the_check_behind_it_its_time() -> None:
    pool = pool_of("", "a", "b")
    a, _ = pool.endpoints.values()
    began = monotonic()
    call_under_way(a, "write")
    a.health.falls_silent(began - 10.0, "no answer")
    pool.housekeeping.sweep(began)
    assert a.state == "busy"
    a.connections.leased.clear()
    pool.feedback.succeeded(a, planned(call("write"), pool), began - 10.0)
    answered_at = monotonic()
    timeout = pool.spec.health_check.timeout
    pool.housekeeping.sweep(answered_at + timeout / 2)
    assert a.state == "busy"
    pool.housekeeping.sweep(answered_at + timeout + 1.0)
    assert a.state == "hung"


async def test_failures_and_kept_answers_do_not_make_a_tool_quick() -> None:
    pool = pool_of("", "a", "b")
    a, _ = pool.endpoints.values()
    answered(pool, "write", 0.001, 0.001, 6.0)
    pool.metrics.cache("memory").hits["write"] = 2
    stats = pool.metrics.tool("write")
    for _ in range(5):
        stats.rejected += 1
        stats.duration.observe(0.001)
    call_under_way(a, "write")
    began = monotonic()
    a.health.falls_silent(began, "no answer")
    pool.housekeeping.sweep(began + 3.0)
    assert a.state == "busy"


async def test_a_call_that_was_given_up_may_still_keep_its_server_busy_until_that_answers() -> None:
    pool = pool_of("", "a", "b")
    a, _ = pool.endpoints.values()
    answered(pool, "read", 0.01)
    call_under_way(a, "read")
    given_up = call_under_way(a, "write")
    given_up.close()
    given_up.connection_lost(None)
    began = monotonic()
    a.health.falls_silent(began, "no answer")
    pool.housekeeping.sweep(began + 3.0)
    assert a.state == "busy"
    a.health.checked(True, pool.spec)
    a.health.silences.forget()
    a.health.falls_silent(began, "no answer")
    pool.housekeeping.sweep(began + 3.0)
    assert a.state == "hung"


async def test_a_program_of_ours_is_ended_by_time_alone() -> None:
    pool = pool_of("", "a", "b")
    a, _ = pool.endpoints.values()
    a.target = replace(a.target, path="/tmp/socket")
    began = monotonic()
    a.health.falls_silent(began, "no answer")
    pool.housekeeping.sweep(began + 14.0)
    assert a.state == "busy"
    pool.housekeeping.sweep(began + 16.0)
    assert a.state == "hung"


async def test_a_silence_that_it_came_back_from_before_is_waited_for() -> None:
    pool = pool_of('[outlier_detection]\nhung_after = "1s"', "a", "b")
    a, _ = pool.endpoints.values()
    began = monotonic()
    a.health.silences.begin(began - 30.0)
    a.health.silences.end(began)
    a.health.falls_silent(began, "no answer")
    pool.housekeeping.sweep(began + 40.0)
    assert a.state == "busy"
    pool.housekeeping.sweep(began + 46.0)
    assert a.state == "hung"


async def test_an_endpoint_that_refuses_connections_is_unreachable_and_its_past_is_forgotten() -> None:
    pool = pool_of("", "a", "b")
    a, _ = pool.endpoints.values()
    a.health.silences.begin(monotonic() - 9.0)
    a.health.silences.end(monotonic())
    a.health.falls_silent(monotonic(), "no answer")
    a.health.connect_failed(ConnectFailed("refused"))
    assert a.state == "unreachable"
    assert not a.health.silences.longest(monotonic())
    assert not pool.outage.stands_still


async def test_calls_are_held_while_no_server_has_ever_answered() -> None:
    pool = pool_of("", "a", "b")
    assert pool.outage.starting == STARTING_HOLD
    a, b = pool.endpoints.values()
    pool.endpoints.not_started |= dict.fromkeys((a.key, b.key), "there is no such program")
    assert pool.outage.starting == 0.0, "they never will"
    pool.endpoints.not_started.clear()
    a.health.checked(True, pool.spec)
    a.health.connect_failed(ConnectFailed("refused"))
    b.health.connect_failed(ConnectFailed("refused"))
    assert pool.outage.starting == 0.0
