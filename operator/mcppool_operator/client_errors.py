"""The share of clients' calls that fail, over all gateways of a pool. Pure.

Gateways count calls from their start. The difference between two looks counts, and shares are judged over windows with
enough calls to be meaningful.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

ENOUGH: Final = 20
"""Calls that make a share meaningful."""

MAX_WINDOW: Final = 300.0
"""Seconds after which a window ends with fewer calls, because old counts no longer help."""

STEPS: Final = (0.75, 0.5, 0.25, 0.1, 0.05)
"""Reported shares; below the last one a pool is healthy."""

Answer = Mapping[str, Any]
"""The JSON of a gateway's `/load`."""


@dataclass(slots=True)
class _Window:
    since: float
    calls: int = 0
    failed: int = 0
    before: dict[str, tuple[int, int]] = field(default_factory=dict)  # by gateway: calls and failures so far
    verdict: str | None = None


class ClientErrors:
    """The share of each pool."""

    def __init__(self) -> None:
        self._windows: dict[str, _Window] = {}

    def forget(self, key: str) -> None:
        """Forget a deleted pool."""
        self._windows.pop(key, None)

    def take(self, key: str, pool: str, answers: Mapping[str, Answer], now: float) -> str | None:
        """Take the answers of the gateways, by uid; return the share of failed calls in words, if it is too high."""
        window = self._windows.setdefault(key, _Window(now))
        counts = {uid: _counts(answer, pool) for uid, answer in answers.items()}
        for uid, (calls, failed) in counts.items():
            if uid in window.before:
                old_calls, old_failed = window.before[uid]
                restarted = calls < old_calls
                window.calls += calls if restarted else calls - old_calls
                window.failed += failed if restarted else failed - old_failed
        window.before = counts
        if window.calls >= ENOUGH or now - window.since >= MAX_WINDOW:
            share = window.failed / window.calls if window.calls >= ENOUGH else 0.0
            step = next((step for step in STEPS if share > step), None)
            window.verdict = None if step is None else _words(step, pool, answers)
            window.since, window.calls, window.failed = now, 0, 0
        return window.verdict


def sessions(pool: str, answers: Mapping[str, Answer]) -> int:
    """Return the number of client sessions at all gateways."""
    return sum(_number(_clients(answer, pool).get("sessions")) for answer in answers.values())


def _words(step: float, pool: str, answers: Mapping[str, Answer]) -> str:
    reasons = (str(_clients(answer, pool).get("lastFailure") or "") for answer in answers.values())
    reason = next(filter(None, reasons), "").partition(":")[0][:100]
    return f"more than {step:.0%} of the calls of clients fail" + (f", the last one by {reason}" if reason else "")


def _counts(answer: Answer, pool: str) -> tuple[int, int]:
    clients = _clients(answer, pool)
    return _number(clients.get("calls")), _number(clients.get("failedCalls"))


def _clients(answer: Answer, pool: str) -> Mapping[str, Any]:
    pools = answer.get("clients")
    found = pools.get(pool) if isinstance(pools, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _number(value: object) -> int:
    return value if isinstance(value, int) and value >= 0 else 0
