"""Trial calls of a gateway of two processes: a half-open breaker, and an endpoint on probation, get one at a time."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from time import monotonic

import pytest

from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.routing import trials
from mcppool.policy.circuit_breaker import BreakerState
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import CircuitOpen
from tests.unit.pipeline.pools import planned, tool_call
from tests.unit.pipeline.test_peers import at_a, fail, succeed, two_processes

LATER = 100.0
"""Seconds after which breakers may try again, and ejected endpoints are on probation."""


def open_everywhere() -> list[ServerPool]:
    """Two processes of a pool. A breaker of `write` is open at the endpoint a, which is not ejected."""
    pools, _ = two_processes()
    for number in range(4):
        for pool in pools:
            client = planned(tool_call("write", principal=f"client-{number}"), pool).client
            pool.breakers.failed("write", client, at_a(pool), monotonic())
    assert all(state(pool) is BreakerState.OPEN for pool in pools)
    return pools


def state(pool: ServerPool) -> BreakerState:
    breaker = at_a(pool).breakers.get("write")
    return BreakerState.CLOSED if breaker is None else breaker.state


def admitted(pool: ServerPool, now: float) -> bool:
    """Whether a call of `write` goes to the endpoint a at this time."""
    try:
        pool.picker.admit(planned(tool_call("write"), pool), at_a(pool), now)
    except CircuitOpen:
        return False
    return True


async def test_a_half_open_breaker_lets_one_trial_through_for_all_processes() -> None:
    one, two = open_everywhere()
    now = monotonic() + LATER
    assert admitted(one, now)
    assert [admitted(pool, now) for pool in (one, two, two)] == [False] * 3
    succeed(one)
    assert state(one) is state(two) is BreakerState.CLOSED
    assert admitted(one, now)
    assert admitted(two, now)


async def test_a_failed_trial_opens_the_breaker_in_all_processes_for_its_whole_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    one, two = open_everywhere()
    now = monotonic() + LATER
    assert admitted(one, now)
    monkeypatch.setattr("mcppool.pipeline.feedback.monotonic", lambda: now)
    fail(one, "carol")
    open_for = one.settings.breaker_limits.open_duration
    assert not admitted(two, now + open_for - 1)
    one.trials.sweep(now + trials.SETTLING)
    assert not admitted(two, now + open_for - 1)
    assert admitted(two, now + open_for)
    assert not admitted(one, now + open_for)


async def test_a_process_that_has_not_heard_of_a_failed_trial_yet_makes_none() -> None:
    (one, two) = open_everywhere()
    now = monotonic() + LATER
    assert admitted(one, now)
    one.feedback._peers = None  # the news is on its way
    fail(one, "carol")
    assert not admitted(two, now)


async def test_an_abandoned_trial_leaves_the_next_one_to_any_process() -> None:
    one, two = open_everywhere()
    now = monotonic() + LATER
    assert admitted(one, now)
    one.picker.attempt_over(at_a(one), planned(tool_call("write"), one))
    assert admitted(two, now)


async def test_a_pool_that_stops_claims_no_trial() -> None:
    one, two = open_everywhere()
    now = monotonic() + LATER
    assert admitted(one, now)
    await one.stop()
    assert admitted(two, now)


def on_probation(monkeypatch: pytest.MonkeyPatch) -> tuple[list[ServerPool], float]:
    """Two processes in which the endpoint a is on probation, and the time."""
    pools, _ = two_processes()
    for number in range(4):
        fail(pools[number % 2], f"client-{number}")
    now = monotonic() + LATER
    monkeypatch.setattr("mcppool.pipeline.feedback.monotonic", lambda: now)
    monkeypatch.setattr("mcppool.pipeline.routing.breakers.CircuitBreaker.admits", lambda *_: True)
    for pool in pools:
        at_a(pool).health.tick(now)
        assert at_a(pool).health.outlier.probation
    return pools, now


def tried(pool: ServerPool, now: float) -> bool:
    """Whether a repeatable call becomes the trial of the endpoint a."""
    picked: Endpoint = pool.picker.endpoint_for(planned(tool_call("read"), pool), (), now)
    return picked is at_a(pool)


async def test_an_endpoint_on_probation_gets_one_trial_from_all_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    (one, two), now = on_probation(monkeypatch)
    assert tried(one, now)
    assert not tried(two, now)
    assert not tried(one, now)
    succeed(one)
    assert not at_a(one).health.outlier.ejected
    assert not at_a(two).health.outlier.ejected


@pytest.mark.parametrize("outcome", [succeed, partial(fail, principal="carol")])
async def test_a_trial_counts_in_a_process_whose_own_probation_has_not_begun(
    outcome: Callable[[ServerPool], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    (one, two), now = on_probation(monkeypatch)
    at_a(two).health.outlier.probation = False
    assert tried(one, now)
    outcome(one)
    assert at_a(one).health.outlier.ejected is at_a(two).health.outlier.ejected is (outcome is not succeed)
    assert at_a(one).health.outlier.ejections == at_a(two).health.outlier.ejections


async def test_a_trial_that_never_began_is_left_to_another_process_at_the_next_sweep(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (one, two), now = on_probation(monkeypatch)
    assert tried(one, now)
    assert not tried(two, now)
    one.housekeeping.sweep(now)
    assert tried(two, now)


async def test_a_failed_trial_of_an_endpoint_is_followed_by_a_longer_ejection_in_all_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (one, two), now = on_probation(monkeypatch)
    assert tried(one, now)
    fail(one, "carol")
    for pool in (one, two):
        outlier = at_a(pool).health.outlier
        assert (outlier.ejections, outlier.probation) == (2, False)
        assert outlier.ejected_until == pytest.approx(now + 2 * pool.settings.outlier_limits.base_ejection_time)
    assert len(one.trials.held) == 1
    one.trials.sweep(now + trials.SETTLING)
    assert not one.trials.held
