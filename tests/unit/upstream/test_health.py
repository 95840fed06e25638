"""The health of an endpoint under events: its reports, and the trial calls of an ejected endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.consecutive_failures import ClientKey
from mcppool.policy.endpoint_health import EndpointState
from mcppool.policy.outlier_detection import OutlierLimits
from mcppool.spec import EndpointSpec, PoolSpec, default_snapshot
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.health import ProbationQueue

URL = "http://127.0.0.1:9/mcp"
ALICE, BOB = ClientKey("alice", 1), ClientKey("bob", 2)
LIMITS = OutlierLimits(
    consecutive_failures=1, base_ejection_time=10.0, max_ejection_time=60.0, max_ejection_percent=100
)


class Watched:
    """An endpoint, its reports, and the number of wake-ups of its prober."""

    def __init__(self, *, joining: bool = False, draining: bool = False) -> None:
        self.spec: PoolSpec = default_snapshot([URL], profile="production").pools[0]
        self.told: list[tuple[str, str]] = []
        self.woken = 0
        self.queue = ProbationQueue[Endpoint]()
        self.endpoint = Endpoint(
            EndpointSpec(url=URL, draining=draining),
            self.spec,
            joining=joining,
            probation=self.queue,
            on_change=lambda endpoint, why: self.told.append((endpoint.state, why)),
        )
        self.endpoint.wake_prober = self._wake
        self.health = self.endpoint.health

    def _wake(self) -> None:
        self.woken += 1

    def eject(self) -> None:
        """A call fails there, and is answered at another endpoint."""
        assert not self.health.call_failed(ClientKey("alice", 1), monotonic(), LIMITS, may_eject=True)
        if self.health.answered_elsewhere(monotonic(), LIMITS, may_eject=True):
            self.health.ejected()

    def reconfigure(self, *, draining: bool) -> None:
        """Only its drain order changes."""
        self.endpoint.reconfigure(EndpointSpec(url=URL, draining=draining), self.spec)


async def test_the_first_good_check_of_one_that_joins_makes_it_available() -> None:
    watched = Watched(joining=True)
    watched.health.checked(False, watched.spec, "HTTP 503")
    assert watched.told == []
    watched.health.checked(True, watched.spec)
    assert watched.told == [("available", "its first check was answered")]
    assert watched.health.available_since is not None, "its slow start begins"


async def test_a_lost_endpoint_is_reported_once_and_checked_at_once() -> None:
    watched = Watched()
    for _ in range(3):
        watched.health.connect_failed(ConnectFailed("refused"))
    assert watched.told == [("unreachable", "refused")]
    assert watched.woken == 1
    assert watched.endpoint.stats.ejections == 1
    watched.health.checked(True, watched.spec)
    assert watched.told[1:] == [("available", "a check was answered")]


async def test_a_refused_check_that_ends_a_loss_is_reported_once() -> None:
    watched = Watched()
    watched.health.unreachable()
    for _ in range(watched.spec.health_check.unhealthy_threshold):
        watched.health.checks_refused(401, watched.spec, "HTTP 401")
    assert [state for state, _ in watched.told] == ["unreachable", "available", "unhealthy"]
    assert watched.health.refuses_checks == 401
    watched.health.unreachable()
    assert watched.health.refuses_checks is None


async def test_one_call_at_a_time_tries_an_ejected_endpoint_until_a_verdict() -> None:
    watched = Watched()
    watched.eject()
    watched.health.tick(monotonic())
    assert not watched.queue, "its ejection time runs"
    watched.health.tick(monotonic() + 3600)
    assert list(watched.queue) == [watched.endpoint]
    assert watched.queue.popleft() is watched.endpoint
    watched.endpoint.active = 1
    watched.health.tick(monotonic() + 3600)
    assert not watched.queue, "a call is trying it"
    watched.endpoint.active = 0
    watched.health.trial_over()
    watched.health.trial_over()
    assert list(watched.queue) == [watched.endpoint], "the call was cancelled"
    watched.eject()
    assert not watched.queue, "the trial failed"
    assert watched.health.state is EndpointState.EJECTED


END_OF_A_TRIAL: dict[str, Callable[[Watched], None]] = {
    "drained": lambda watched: watched.endpoint.drain(),
    "lost": lambda watched: watched.health.unreachable(),
    "hung": lambda watched: watched.health.hangs(),
    "recovered": lambda watched: (
        watched.health.recovered() if watched.health.call_answered(monotonic(), LIMITS) else None
    ),
}


@pytest.mark.parametrize("end", END_OF_A_TRIAL.values(), ids=END_OF_A_TRIAL)
async def test_no_call_tries_an_endpoint_whose_probation_has_ended(end: Callable[[Watched], None]) -> None:
    watched = Watched()
    watched.eject()
    watched.health.tick(monotonic() + 3600)
    assert watched.queue
    end(watched)
    assert not watched.queue


async def test_a_drain_that_is_called_off_leaves_the_state_from_before() -> None:
    watched = Watched()
    watched.health.checked(True, watched.spec)
    watched.eject()
    watched.reconfigure(draining=True)
    assert watched.endpoint.state == "draining"
    watched.reconfigure(draining=False)
    assert watched.endpoint.state == "ejected"
    watched.health.unreachable()
    watched.reconfigure(draining=True)
    assert (watched.endpoint.state, watched.endpoint.lost) == ("draining", True)
    watched.reconfigure(draining=False)
    assert watched.endpoint.state == "unreachable"


async def test_the_beginning_and_the_end_of_a_silence_are_reported_while_it_drains_too() -> None:
    watched = Watched(draining=True)
    watched.health.falls_silent(monotonic(), "no answer")
    assert watched.endpoint.busy
    watched.health.checked(True, watched.spec)
    assert [state for state, _ in watched.told] == ["draining", "draining"]
    assert watched.told[1][1].startswith("it answers again after")


EVENTS: dict[str, Callable[[Watched, float], object]] = {
    "answered": lambda watched, now: watched.health.call_answered(now, LIMITS),
    "answered as a trial": lambda watched, now: watched.health.call_answered(now, LIMITS, trial=True),
    "failed": lambda watched, now: watched.health.call_failed(ALICE, now, LIMITS, may_eject=True),
    "failed for another client": lambda watched, now: watched.health.call_failed(BOB, now, LIMITS, may_eject=True),
    "failed, too many ejected": lambda watched, now: watched.health.call_failed(ALICE, now, LIMITS, may_eject=False),
    "answered elsewhere": lambda watched, now: watched.health.answered_elsewhere(now, LIMITS, may_eject=True),
    "swept": lambda watched, now: watched.health.tick(now),
    "unreachable": lambda watched, now: watched.health.unreachable(),
    "hangs": lambda watched, now: watched.health.hangs(),
    "checked": lambda watched, now: watched.health.checked(True, watched.spec),
}


@given(st.lists(st.tuples(st.sampled_from(list(EVENTS)), st.sampled_from([0.0, 1.0, 30.0])), max_size=12))
def test_an_answer_matters_exactly_while_failures_or_ejections_are_remembered(events: list[tuple[str, float]]) -> None:
    async def run() -> None:
        watched, now = Watched(), monotonic()
        for event, passed in events:
            now += passed
            EVENTS[event](watched, now)
            outlier = watched.health.outlier
            remembers = bool(outlier.failures or outlier.ejections or outlier.ejected)
            assert watched.health.blemished is remembers, event

    asyncio.run(run())


async def test_an_endpoint_has_its_whole_weight_again_after_slow_start() -> None:
    first, second, light = Watched(), Watched(), Watched()
    light.endpoint.reconfigure(EndpointSpec(url=URL, weight=7), light.spec)
    assert first.endpoint.weight == second.endpoint.weight
    assert light.endpoint.weight == 7.0
    begun = first.health.available_since = monotonic()
    assert first.endpoint.ramp(10.0, begun + 5.0)
    assert first.endpoint.weight == second.endpoint.weight / 2
    assert first.endpoint.ramp(10.0, begun + 10.0)
    assert first.endpoint.weight == second.endpoint.weight
