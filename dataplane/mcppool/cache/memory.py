"""Answers kept in this process: least recently used out first, bounded in number and bytes, O(1) per operation."""

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
"""Expired entries that one sweep lets go of, so that it holds no call up; the next sweep goes on."""


class _Entry:
    __slots__ = ("born", "due", "kept", "size", "tag")

    def __init__(self, kept: CachedAnswer, tag: str, born: float) -> None:
        self.kept = kept
        self.tag = tag
        self.born = born
        self.due = int(born + kept.ttl + kept.stale) + 1  # the second in which it is over for certain
        self.size = size_of(kept, tag)


def size_of(kept: CachedAnswer, tag: str) -> int:
    """Bytes that an entry costs in all."""
    return len(kept.result) + len(tag.encode("utf-8", "surrogatepass")) + ENTRY_OVERHEAD


class MemoryStore:
    """A store in memory. `evictions` is counted into: by reason `size`, `bytes`, `memory`, `expired`,
    `invalidated`.

    What is kept is charged to `account`. Where that has no room, nothing more is kept.

    Entries that are due in the same second share a bucket, so expiry looks at nothing that is not due.
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
        self._epoch = 0  # of the last invalidation
        self._evictions = evictions
        self._clock = clock
        self.size = 0  # bytes
        self.configure(max_size, max_bytes)

    def __len__(self) -> int:
        return len(self._entries)

    def configure(self, max_size: int, max_bytes: int) -> None:
        """Take over changed bounds."""
        self._max_size = max_size
        self._max_bytes = max_bytes
        self._shrink()

    async def get(self, key: bytes, tag: str) -> CacheHit:  # noqa: ARG002 (a store over the network needs the tag)
        """What is kept under `key`, fresh or stale; it is the most recently used then."""
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
        """Keep an answer, unless anything was invalidated since `mark`, or it alone is more than all that may be
        kept."""
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
        """Forget all answers with one of `tags`, and keep none that is being fetched now."""
        self._epoch += 1
        for tag in tags:
            for key in list(self._tagged.get(tag, ())):
                self._remove(key, "invalidated")

    def sweep(self, now: float) -> None:
        """Let go of what is due."""
        left = SWEPT_AT_ONCE
        while self._swept <= now and left:
            bucket = self._due.get(self._swept)
            while bucket and left:
                self._remove(next(iter(bucket)), "expired")
                left -= 1
            if not self._due.get(self._swept):
                self._swept += 1

    def give_way(self, wanted: int) -> int:
        """Forget what was used least recently, until `wanted` bytes are given back. Returns how many are."""
        before = self.size
        while self._entries and before - self.size < wanted:
            self._remove(next(iter(self._entries)), "memory")
        return before - self.size

    async def close(self) -> None:
        """Forget everything."""
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
