"""A cache in the memory of this process: evicts the least recently used answer first, bounded in number and bytes, O(1)
per operation."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, MutableMapping
from time import monotonic
from typing import TypeVar

from mcppool.cache.store import CachedAnswer, CacheHit
from mcppool.policy.memory_budget import MemoryAccount, MemoryBudget

K = TypeVar("K")

ENTRY_OVERHEAD = 900
"""Bytes that an entry costs besides its result and its tag: objects, three places in dictionaries (tests/unit/cache
measures it)."""

SWEPT_AT_ONCE = 1000
"""Upper bound on expired entries that one sweep removes, so that it delays no call; the next sweep goes on."""


class _Entry:
    __slots__ = ("born", "due", "kept", "size", "tag")

    def __init__(self, kept: CachedAnswer, tag: str, born: float) -> None:
        self.kept = kept
        self.tag = tag
        self.born = born
        self.due = int(born + kept.ttl + kept.stale) + 1  # the second in which it has certainly expired
        self.size = size_of(kept, tag)


def size_of(kept: CachedAnswer, tag: str) -> int:
    """Total bytes that an entry costs."""
    return len(kept.result) + len(tag.encode("utf-8", "surrogatepass")) + ENTRY_OVERHEAD


class MemoryStore:
    """A store in memory.

    `evictions` counts removed entries by reason: `size`, `bytes`, `memory`, `expired`, `invalidated`.

    Entries are charged to `account`; when that has no room, nothing more is stored.

    Entries that expire in the same second share a bucket, so expiry touches only those that are due.
    """

    trouble: str | None = None

    def __init__(
        self,
        max_size: int,
        max_bytes: int,
        evictions: MutableMapping[str, int],
        clock: Callable[[], float] = monotonic,
        account: MemoryAccount | None = None,
    ) -> None:
        self._account = account if account is not None else MemoryBudget().account("cache")
        self._entries: OrderedDict[bytes, _Entry] = OrderedDict()  # least recently used first
        self._tagged: dict[str, dict[bytes, None]] = {}
        self._due: dict[int, dict[bytes, None]] = {}
        self._swept = int(clock())
        self._epoch = 0  # counts invalidations
        self._evictions = evictions
        self._clock = clock
        self.size = 0  # bytes
        self.configure(max_size, max_bytes)

    def __len__(self) -> int:
        return len(self._entries)

    def configure(self, max_size: int, max_bytes: int) -> None:
        """Apply changed bounds."""
        self._max_size = max_size
        self._max_bytes = max_bytes
        self._shrink()

    async def get(self, key: bytes, tag: str) -> CacheHit:  # noqa: ARG002 (a store over the network needs the tag)
        """The entry under `key`, fresh or stale; it becomes the most recently used one."""
        entry = self._entries.get(key)
        if entry is None:
            return CacheHit(None, 0.0, self._epoch)
        age = self._clock() - entry.born
        if age >= entry.kept.ttl + entry.kept.stale:
            self._remove(key, "expired")
            return CacheHit(None, 0.0, self._epoch)
        self._entries.move_to_end(key)
        return CacheHit(entry.kept, age, self._epoch)

    def put(self, key: bytes, tag: str, kept: CachedAnswer, mark: object) -> None:
        """Store an answer, unless anything was invalidated since `mark`, or the answer alone exceeds the bound."""
        size = size_of(kept, tag)
        if mark != self._epoch or size > self._max_bytes:
            return
        if key in self._entries:
            self._remove(key, None)
        if not self._account.reserve(size):
            return
        entry = _Entry(kept, tag, self._clock())
        self._entries[key] = entry
        self._tagged.setdefault(tag, {})[key] = None
        self._due.setdefault(entry.due, {})[key] = None
        self.size += entry.size
        self._shrink()

    def invalidate(self, tags: tuple[str, ...]) -> None:
        """Remove all answers with one of `tags`, and store none that is being fetched now."""
        self._epoch += 1
        for tag in tags:
            for key in list(self._tagged.get(tag, ())):
                self._remove(key, "invalidated")

    def sweep(self, now: float) -> None:
        """Remove expired entries."""
        left = SWEPT_AT_ONCE
        while self._swept <= now and left:
            bucket = self._due.get(self._swept)
            while bucket and left:
                self._remove(next(iter(bucket)), "expired")
                left -= 1
            if not self._due.get(self._swept):
                self._swept += 1

    def give_way(self, wanted: int) -> int:
        """Remove the least recently used entries until `wanted` bytes are free. Returns the number of freed bytes."""
        before = self.size
        while self._entries and before - self.size < wanted:
            self._remove(next(iter(self._entries)), "memory")
        return before - self.size

    async def close(self) -> None:
        """Remove everything."""
        while self._entries:
            self._remove(next(iter(self._entries)), None)

    def _shrink(self) -> None:
        while len(self._entries) > self._max_size:
            self._remove(next(iter(self._entries)), "size")
        while self.size > self._max_bytes:
            self._remove(next(iter(self._entries)), "bytes")

    def _remove(self, key: bytes, reason: str | None) -> None:
        entry = self._entries.pop(key)
        _discard(self._tagged, entry.tag, key)
        _discard(self._due, entry.due, key)
        self.size -= entry.size
        self._account.release(entry.size)
        if reason is not None:
            self._evictions[reason] = self._evictions.get(reason, 0) + 1


def _discard(index: dict[K, dict[bytes, None]], where: K, key: bytes) -> None:
    keys = index[where]
    del keys[key]
    if not keys:
        del index[where]
