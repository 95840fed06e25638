"""The calls of a pool that no server answered, by reason: how many, since when, and the last one."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

QUIET: Final = timedelta(seconds=60)
"""A reason that did not occur for so long is over; if it occurs again, it is since then."""

MAX_DETAIL: Final = 300
"""Characters of the detail that are kept."""


@dataclass(slots=True)
class Loss:
    """One reason. `count` and `since` are of its present run, `last` is the last time; `total` counts since start.
    `name` is the tool or method of the last call, `endpoint` the server that it went to, if any."""

    since: datetime
    last: datetime
    count: int = 0
    total: int = 0
    name: str = ""
    endpoint: str | None = None
    detail: str = ""


class Losses:
    """By reason, which must come from a fixed set. O(1) in time and memory."""

    __slots__ = ("by_reason",)

    def __init__(self) -> None:
        self.by_reason: dict[str, Loss] = {}

    def add(self, reason: str, at: datetime, name: str, endpoint: str | None, detail: str) -> None:
        """Count one lost call."""
        loss = self.by_reason.get(reason)
        if loss is None:
            loss = self.by_reason[reason] = Loss(at, at)
        elif at - loss.last > QUIET:
            loss.since, loss.count = at, 0
        loss.last, loss.name, loss.endpoint, loss.detail = at, name, endpoint, detail[:MAX_DETAIL]
        loss.count += 1
        loss.total += 1
