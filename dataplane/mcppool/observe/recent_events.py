"""The latest faults and recoveries of a pool, for the status page."""

from __future__ import annotations

from collections import OrderedDict
from datetime import datetime
from typing import Final

from mcppool.observe.views import EventView

LIMIT: Final = 20
"""Upper bound on the remembered events of one pool."""

MAX_DETAIL: Final = 300
"""Characters of the detail that are kept."""


class RecentEvents:
    """The newest `LIMIT` events, each once: a repeated event is counted and becomes the newest, so that a flood of one
    fault does not displace the others. O(1) in time and memory."""

    __slots__ = ("_events",)

    def __init__(self) -> None:
        self._events: OrderedDict[tuple[str, str, str], EventView] = OrderedDict()

    def add(self, endpoint: str, reason: str, detail: str, at: datetime) -> None:
        """Remember an event: `reason` is one word, `detail` a sentence."""
        key = (endpoint, reason, detail[:MAX_DETAIL])
        before = self._events.pop(key, None)
        self._events[key] = EventView(at, *key, count=1 if before is None else before.count + 1)
        if len(self._events) > LIMIT:
            self._events.popitem(last=False)

    def newest_first(self) -> tuple[EventView, ...]:
        """The events, the latest first."""
        return tuple(reversed(self._events.values()))
