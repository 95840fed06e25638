"""Background tasks that do not die silently.

A task that nobody awaits takes its exception with it: a prober, a sweep or a watcher is gone, and nothing tells. Such a
task is started with `supervise`. Where it raises, that is reported and counted, and it runs again after a back-off. It
ends where it returns, or is cancelled. What happens once and may fail is started with `guard`: reported, counted, not
repeated.

This module imports nothing of ours, so that every layer may use it; `observe.logs` installs what reports.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from time import monotonic
from typing import Any, Final

FIRST_WAIT: Final = 0.1
"""Seconds before the first restart; doubled for each further failure, with full jitter between half and all of it."""

LONGEST_WAIT: Final = 30.0
"""Upper bound of that wait, in seconds."""

STEADY: Final = 60.0
"""Seconds after which a task that fails is one that has worked: its waits begin anew."""

failures: Counter[str] = Counter()
"""How often tasks have failed in this process, by kind."""

Run = Callable[[], Coroutine[Any, Any, None]]
Report = Callable[[str, str, Exception, float | None], None]
"""Called with a task's kind and name, what it raised, and the seconds until it runs again (None: it does not)."""


def _say_nothing(_kind: str, _name: str, _error: Exception, _wait: float | None) -> None:
    """Nobody has asked to hear of failures yet."""


_report: Report = _say_nothing


def report_to(report: Report) -> None:
    """Have failures reported to `report` from now on."""
    global _report
    _report = report


def supervise(kind: str, run: Run, *, about: str = "", rng: random.Random | None = None) -> asyncio.Task[None]:
    """Run `run` until it returns or the task is cancelled, again after a back-off where it raises.

    `kind` is from a small fixed set, for the metric; `about` says which one of them, for the log.
    """
    name = f"{kind} {about}".rstrip()
    return asyncio.create_task(_keep_running(kind, name, run, rng or random.Random()), name=name)


def guard(kind: str, running: Coroutine[Any, Any, None], *, about: str = "") -> asyncio.Task[None]:
    """Run something once; where it raises, that is reported and the task ends well."""
    name = f"{kind} {about}".rstrip()
    return asyncio.create_task(_run_once(kind, name, running), name=name)


async def _keep_running(kind: str, name: str, run: Run, rng: random.Random) -> None:
    in_a_row = 0
    while True:
        started = monotonic()
        try:
            await run()
            return
        except Exception as error:
            in_a_row = 1 if monotonic() - started >= STEADY else in_a_row + 1
            longest = min(FIRST_WAIT * 2.0 ** min(in_a_row - 1, 20), LONGEST_WAIT)
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
