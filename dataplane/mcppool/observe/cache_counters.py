"""The results of one kind of cache of a pool, by tool or method."""

from __future__ import annotations

from mcppool.observe.labels import OTHER, TOOLS_CAP


class CacheCounters:
    """The results of one kind of cache of a pool, by tool, or by method for other calls.

    `misses` are calls that went to a server; `coalesced` waited for an equal call and got its answer; `stale` are
    expired answers that were given because no server could answer. `evictions` counts by reason (`size`, `bytes`,
    `memory`, `expired`, `invalidated`).
    """

    __slots__ = ("coalesced", "evictions", "hits", "misses", "stale")

    def __init__(self) -> None:
        self.hits: dict[str, int] = {}
        self.misses: dict[str, int] = {}
        self.evictions: dict[str, int] = {}
        self.coalesced = 0
        self.stale = 0

    def hit(self, label: str) -> None:
        """Count an answer from the cache; `label` must be bounded (`PoolMetrics.cache_label`, or a method)."""
        _count(self.hits, label, 1)

    def add(self, other: CacheCounters) -> None:
        """Add the counts by label of another one."""
        for name in ("hits", "misses", "evictions"):
            mine: dict[str, int] = getattr(self, name)
            for label, count in getattr(other, name).items():
                _count(mine, label, count)

    def miss(self, label: str) -> None:
        """Count a call that the cache did not answer and that went to a server."""
        _count(self.misses, label, 1)


def _count(counts: dict[str, int], label: str, more: int) -> None:
    """Add to the count of a label, or to that of `other` if too many labels have one, because catalogs may change
    forever."""
    if label not in counts and len(counts) >= TOOLS_CAP:
        label = OTHER
    counts[label] = counts.get(label, 0) + more
