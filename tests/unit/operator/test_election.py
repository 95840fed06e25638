from __future__ import annotations

import asyncio
import copy
from collections.abc import AsyncGenerator
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool_operator.api import KubeApi, KubeError
from mcppool_operator.election import Elector, LeaseCandidate, LeaseTiming
from mcppool_operator.resources import Kind

TIMING = LeaseTiming(duration=15, renew_deadline=10, retry_period=2)


def lease(holder: str, renewed: str = "t0", duration: int = 15, transitions: int = 0) -> dict[str, Any]:
    return {
        "holderIdentity": holder,
        "renewTime": renewed,
        "leaseDurationSeconds": duration,
        "leaseTransitions": transitions,
    }


def test_a_lease_that_another_holds_may_be_taken_only_after_it_was_seen_unchanged_for_its_duration() -> None:
    candidate = LeaseCandidate("b", TIMING)
    candidate.observe(lease("a"), 100)
    assert not candidate.may_take(lease("a"), 115)
    assert candidate.may_take(lease("a"), 115.1)


def test_a_renewal_starts_the_wait_again() -> None:
    candidate = LeaseCandidate("b", TIMING)
    candidate.observe(lease("a", "t0"), 100)
    candidate.observe(lease("a", "t1"), 114)
    assert not candidate.may_take(lease("a", "t1"), 120)


def test_the_wall_clock_in_the_lease_does_not_matter() -> None:
    candidate = LeaseCandidate("b", TIMING)
    ancient = lease("a", "1970-01-01T00:00:00.000000Z")
    candidate.observe(ancient, 100)
    assert not candidate.may_take(ancient, 101)


def test_a_lease_that_was_given_up_may_be_taken_at_once() -> None:
    candidate = LeaseCandidate("b", TIMING)
    candidate.observe(lease("", duration=1), 100)
    assert candidate.may_take(lease("", duration=1), 100)


def test_a_holder_leads_for_the_deadline_after_it_asked_for_its_last_renewal() -> None:
    candidate = LeaseCandidate("a", TIMING)
    assert not candidate.leads(0)
    assert not candidate.lost(0)
    candidate.renewed(100)
    assert candidate.leads(109.9)
    assert not candidate.leads(110)
    assert candidate.lost(110)


def test_one_that_resigned_has_lost_nothing() -> None:
    candidate = LeaseCandidate("a", TIMING)
    candidate.renewed(100)
    candidate.resigned()
    assert not candidate.leads(100)
    assert not candidate.lost(1000)


STEPS = st.lists(st.tuples(st.integers(0, 2), st.floats(0.1, 6), st.booleans()), min_size=1, max_size=80)


@given(STEPS, st.lists(st.floats(-1e6, 1e6), min_size=3, max_size=3))
@settings(max_examples=300)
def test_there_are_never_two_leaders_whatever_the_clocks_and_the_partitions(
    steps: list[tuple[int, float, bool]], offsets: list[float]
) -> None:
    """Three replicas with clocks of their own; at each step one of them tries, and reaches the API server or not."""
    now, version = 0.0, 0
    stored: dict[str, Any] | None = None
    candidates = [LeaseCandidate(str(number), TIMING) for number in range(3)]
    for who, passed, reachable in steps:
        now += passed
        candidate, clock = candidates[who], now + offsets[who]
        if reachable:
            spec = stored or lease("")
            candidate.observe(spec, clock)
            if candidate.may_take(spec, clock):
                version += 1
                stored = lease(str(who), f"t{version}")
                candidate.renewed(clock)
            else:
                candidate.resigned()
        leaders = [number for number, one in enumerate(candidates) if one.leads(now + offsets[number])]
        assert len(leaders) <= 1


class Leases(KubeApi):
    """Holds one Lease, whose creation another replica has just won; it gives the Lease up as soon as it is watched."""

    def __init__(self) -> None:
        self.lease: dict[str, Any] | None = None

    async def get(self, kind: Kind, namespace: str, name: str) -> Any:
        return copy.deepcopy(self.lease)

    async def create(self, kind: Kind, body: Any, *, dry_run: bool = False) -> Any:
        self.lease = {**body, "spec": lease("the faster one"), "metadata": {**body["metadata"], "resourceVersion": "1"}}
        raise KubeError(409, "AlreadyExists", "the other was faster")

    async def follow(self, kind: Kind, body: Any, seconds: int) -> AsyncGenerator[Any, None]:
        assert self.lease is not None
        assert body["metadata"]["resourceVersion"] == "1"
        self.lease["spec"] = lease("", duration=1, transitions=1)
        yield copy.deepcopy(self.lease)

    async def replace(self, kind: Kind, body: Any) -> Any:
        self.lease = dict(body)
        return copy.deepcopy(self.lease)


async def test_a_replica_that_lost_the_race_for_the_lease_takes_it_when_the_other_gives_it_up() -> None:
    api = Leases()
    patient = LeaseTiming(duration=3000, renew_deadline=2000, retry_period=1000)
    elector = Elector(api, "mcppool-system", "mcppool", "the slower one", patient)
    standing = asyncio.create_task(elector.run())
    await asyncio.wait_for(elector.elected(), 60)
    standing.cancel()
    assert api.lease is not None
    assert api.lease["spec"]["holderIdentity"] == "the slower one"
    assert elector.transitions == 2
