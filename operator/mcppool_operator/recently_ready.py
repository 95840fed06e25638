"""Remembers the endpoints of each pool that were ready a short time ago.

A cluster that has not heard from its nodes for a while marks their pods not ready one after the other. If none is ready
in the end, gateways need all of those, and not only the last one.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

RECENT: Final = 300.0
"""Seconds that an endpoint that is no longer ready is remembered: the time of an outage of many nodes."""


class RecentlyReady:
    """The URLs of the endpoints that are ready, or were at most RECENT seconds ago."""

    def __init__(self) -> None:
        self._ready: dict[str, frozenset[str]] = {}  # by key of the pool
        self._left: dict[str, dict[str, float]] = {}  # by key: when each URL stopped being ready

    def update(self, key: str, ready: Iterable[str], now: float) -> frozenset[str]:
        """Take the URLs that are ready at `now`, in seconds; return these and the recent ones."""
        present = frozenset(ready)
        left = {url: since for url, since in self._left.pop(key, {}).items() if now - since < RECENT}
        left |= dict.fromkeys(self._ready.get(key, frozenset()), now)
        left = {url: since for url, since in left.items() if url not in present}
        if left:
            self._left[key] = left
        self._ready[key] = present
        return present.union(left)

    def forget(self, key: str) -> None:
        """Forget a deleted pool."""
        self._ready.pop(key, None)
        self._left.pop(key, None)
