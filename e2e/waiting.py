"""Waiting for a condition, bounded in time: the tests sleep for nothing else."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 240.0
"""Seconds: the limit of every wait. Most take a few; on a machine with other work they take many times as long."""


def until(what: str, check: Callable[[], T | bool | None], seconds: float = PATIENCE, interval: float = 0.1) -> T:
    """Ask `check` until it gives something true, and return that.

    Raises AssertionError, with its last answer, if that takes more than `seconds`.
    """
    deadline = time.monotonic() + seconds
    while True:
        answer = check()
        if answer:
            return answer  # type: ignore[return-value] # what is true is no None or False
        if time.monotonic() > deadline:
            raise AssertionError(f"{what}: not within {seconds:g} s; last seen: {answer!r}")
        time.sleep(interval)
