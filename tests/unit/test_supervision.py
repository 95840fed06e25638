"""A background task that raises is reported, counted, and runs again."""

from __future__ import annotations

import asyncio
import inspect
from itertools import pairwise

import pytest

from mcppool import supervision
from mcppool.supervision import guard, supervise
from tests.waiting import until

Reported = list[tuple[str, str, str, bool]]


@pytest.fixture
def reported(monkeypatch: pytest.MonkeyPatch) -> Reported:
    seen: Reported = []
    monkeypatch.setattr(supervision, "FIRST_WAIT", 0.001)
    monkeypatch.setattr(
        supervision, "_report", lambda kind, name, error, wait: seen.append((kind, name, str(error), wait is not None))
    )
    monkeypatch.setattr(supervision, "failures", type(supervision.failures)())
    return seen


async def test_it_runs_again_after_each_failure_until_it_returns(reported: Reported) -> None:
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < 4:
            raise ValueError(f"defect {runs}")

    await supervise("prober", run, about="http://a/mcp")
    assert runs == 4
    assert reported == [("prober", "prober http://a/mcp", f"defect {n}", True) for n in (1, 2, 3)]
    assert supervision.failures == {"prober": 3}


@pytest.mark.parametrize("where", ["at work", "in its wait"])
async def test_it_ends_where_it_is_cancelled(where: str, reported: Reported, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervision, "FIRST_WAIT", 3600.0)
    monkeypatch.setattr(supervision, "MAX_WAIT", 3600.0)
    begun = asyncio.Event()

    async def run() -> None:
        begun.set()
        if where == "in its wait":
            raise ValueError("defect")
        await asyncio.sleep(3600)

    task = supervise("sweep", run)
    await begun.wait()
    if where == "in its wait":
        await until(lambda: reported, "the failure is reported")
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_waits_grow_up_to_a_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    waits: list[float] = []

    async def sleep(seconds: float) -> None:
        waits.append(seconds)

    monkeypatch.setattr(asyncio, "sleep", sleep)
    monkeypatch.setattr(supervision, "failures", type(supervision.failures)())

    async def run() -> None:
        if len(waits) < 30:
            raise ValueError

    await supervise("sweep", run)
    assert waits[0] <= supervision.FIRST_WAIT
    assert supervision.MAX_WAIT / 2 <= waits[-1] <= supervision.MAX_WAIT
    assert all(later >= earlier / 2 for earlier, later in pairwise(waits))


async def test_a_one_time_task_is_reported_and_not_repeated(reported: Reported) -> None:
    async def run() -> None:
        raise OSError("gone")

    await guard("suspicion", run(), about="a")
    assert reported == [("suspicion", "suspicion a", "gone", False)]


async def test_a_guarded_task_that_is_cancelled_at_once_leaves_nothing_unawaited(reported: Reported) -> None:
    async def run() -> None:
        raise AssertionError("it was cancelled before")

    running = run()
    task = guard("suspicion", running)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert inspect.getcoroutinestate(running) == inspect.CORO_CLOSED
    assert reported == []
