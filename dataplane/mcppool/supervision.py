"""Background tasks that do not die silently.

Nobody sees the exception of a task that nobody awaits: a prober, a sweep or a watcher would be gone without notice.
Such a task is started with `supervise`. If it raises, the failure is reported and counted, and the task runs again
after a back-off. It ends when it returns, or is cancelled. A one-time task that may fail is started with `guard`:
reported, counted, not repeated.

This module imports nothing of ours, so that every layer may use it; `observe.logs` installs the reporter.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Final

FIRST_WAIT: Final = 0.1
"""Seconds before the first restart; doubled for each further failure, with jitter between half and all of it."""

MAX_WAIT: Final = 30.0
"""Upper bound of that wait, in seconds."""

STEADY: Final = 60.0
"""Seconds after which a failing task counts as having worked: its waits start anew."""

failures: Counter[str] = Counter()
"""Failures of tasks in this process, by kind."""

Run = Callable[[], Coroutine[Any, Any, None]]
Report = Callable[[str, str, Exception, float | None], None]
"""Called with a task's kind and name, its exception, and the seconds until it runs again (None: never)."""


def _say_nothing(_kind: str, _name: str, _error: Exception, _wait: float | None) -> None:
    """Do nothing: no reporter is installed yet."""


_report: Report = _say_nothing


def report_to(report: Report) -> None:
    """Report failures to `report` from now on."""
    global _report
    _report = report


def supervise(kind: str, run: Run, *, about: str = "", rng: random.Random | None = None) -> asyncio.Task[None]:
    """Run `run` until it returns or the task is cancelled; if it raises, run it again after a back-off.

    `kind` is from a small fixed set, for the metric; `about` identifies the task in the log.
    """
    name = f"{kind} {about}".rstrip()
    return asyncio.create_task(_keep_running(kind, name, run, rng or random.Random()), name=name)


def guard(kind: str, running: Coroutine[Any, Any, None], *, about: str = "") -> asyncio.Task[None]:
    """Run something once; if it raises, report that and end normally."""
    name = f"{kind} {about}".rstrip()
    task = asyncio.create_task(_run_once(kind, name, running), name=name)
    task.add_done_callback(lambda _: running.close())  # it was never started if the task was cancelled at once
    return task


async def _keep_running(kind: str, name: str, run: Run, rng: random.Random) -> None:
    in_a_row = 0
    while True:
        started = monotonic()
        try:
            await run()
            return
        except Exception as error:
            in_a_row = 1 if monotonic() - started >= STEADY else in_a_row + 1
            longest = min(FIRST_WAIT * 2.0 ** min(in_a_row - 1, 20), MAX_WAIT)
            wait = longest * (1 + rng.random()) / 2
            _failed(kind, name, error, wait)
        await asyncio.sleep(wait)


async def _run_once(kind: str, name: str, running: Coroutine[Any, Any, None]) -> None:
    try:
        await running
    except Exception as error:
        _failed(kind, name, error, None)


def _failed(kind: str, name: str, error: Exception, wait: float | None) -> None:
    failures[kind] += 1
    _report(kind, name, error, wait)
