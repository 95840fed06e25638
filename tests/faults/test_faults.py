"""Faults of replicas do not reach clients: each case of bench/faults in short, by the promise of design §4.10."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.faults.cases import CASES, Case
from bench.faults.scene import Lengths
from bench.faults.targets import ours
from bench.faults.verdict import Verdict
from tests.servers import Replica, SwitchedReplica, serving
from tests.servers.kinds import fault_replica

FAKE = Lengths(before=0.3, fault=0.8, after=0.2, pause=0.02, calls=100)
REAL = Lengths(before=0.3, fault=0.8, after=0.2, pause=0.1, calls=100)
BUSY = 10.0
"""Seconds that a busy machine may add to the wait of a read, which would be half a minute without the promise."""
ADDED_P50 = 0.5
"""Seconds that it may add to most calls: half of the time that one waits at a replica that is slow or suspected."""


@pytest.fixture(scope="module")
def fakes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, tuple[SwitchedReplica, ...]]]:
    """Three replicas that show faults, and their ledger."""
    ledger = tmp_path_factory.mktemp("faults") / "ledger.jsonl"
    with serving(*(fault_replica(name, ledger) for name in "abc")) as replicas:
        yield ledger, replicas


def demand(verdict: Verdict) -> None:
    """The requirements of the bench, with the latency limits that a busy machine can meet."""
    assert verdict.broken == []
    assert verdict.calls >= 100
    assert verdict.during.p50 < 2 * verdict.before.p50 + ADDED_P50


def on_a_busy_machine(case: Case) -> Case:
    """The case with more time for reads."""
    return case if case.read_wait is None else replace(case, read_wait=case.read_wait + BUSY)


@pytest.mark.parametrize("case", [case for case in CASES if case.real], ids=lambda case: case.name)
async def test_the_promise_holds_with_real_servers(case: Case, replicas: tuple[Replica, ...], ledger: Path) -> None:
    verdict = await ours(on_a_busy_machine(case), replicas, ledger, REAL)
    demand(verdict)


@pytest.mark.parametrize("case", [case for case in CASES if not case.real], ids=lambda case: case.name)
async def test_the_promise_holds(case: Case, fakes: tuple[Path, tuple[SwitchedReplica, ...]]) -> None:
    ledger, replicas = fakes
    os.truncate(ledger, 0)
    verdict = await ours(case, replicas, ledger, FAKE)
    demand(verdict)
