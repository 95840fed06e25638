"""A cache in a database: PostgreSQL for all gateways of a pool that have the sealing keys, SQLite for the processes of
one machine. While the database is away, calls go on without it; when it is back, pending invalidations come first.

Answer and marks (see `sealed_answer`) are read in one round trip. The store is bounded in answers and bytes: a task in
the background removes what has expired, what was invalidated, and then what was not used for the longest time.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, MutableMapping, Sequence
from time import monotonic, time
from typing import Final

from mcppool.cache.database import ENTRY_BYTES, REMOVED_AT_ONCE, Found, NewRow, Rows
from mcppool.cache.linked_store import LinkedStore
from mcppool.cache.sealed_answer import EVERYTHING, MARK, is_mark, joined, unsealed
from mcppool.cache.sql_link import SqlLink
from mcppool.cache.store import CachedAnswer, CacheHit
from mcppool.wire.vault import Vault

TOUCH_AFTER: Final = 60.0
"""Seconds after which a hit notes again that an answer is in use: a hit is a write at most so often."""

MAX_TOUCHED: Final = 500
MAX_INVALIDATED: Final = 500
"""Upper bounds on names that wait for the next removal; the rest stays until it expires or is the oldest."""

REMOVE_EVERY: Final = 5.0
"""Seconds between two removals."""

REMOVAL_SHARE: Final = 50
"""A removal takes at most one part in so many of the time: a large table is counted less often."""

REMOVAL_SECONDS: Final = 2.0
"""Seconds after which a removal stops and goes on a little later."""

REMOVAL_TIMEOUT: Final = 30.0
"""Upper bound in seconds on one removal, which no call waits for. A database that takes longer does not work."""

SOON: Final = 0.2
"""Seconds at least between two removals."""

GROWTH: Final = 10
"""Growth by one part in so many of the bound leads to a removal at once."""

LEASE: Final = 5.0
"""Seconds for which one gateway makes a call for the others; then another one makes it, too."""


class SqlStore(LinkedStore[SqlLink]):
    """A store in a database. `evictions` counts removed answers by reason: `size`, `bytes`, `expired`, `invalidated`.
    `now` is wall-clock time in seconds."""

    def __init__(
        self,
        link: SqlLink,
        max_size: int,
        max_bytes: int,
        evictions: MutableMapping[str, int],
        now: Callable[[], float] = time,
    ) -> None:
        super().__init__(link, now)
        self._database = link.database
        self._evictions = evictions
        self._touched: set[bytes] = set()
        self._invalidated: set[bytes] = set()
        self._owner = os.urandom(16)
        self._puts: set[asyncio.Task[None]] = set()
        self._rows = Rows(0, 0)
        self._stored = 0  # bytes since the last removal
        self._remove_at = 0.0
        self._removing = False
        self.configure(max_size, max_bytes)

    def __len__(self) -> int:
        """Answers in the database at the last removal."""
        return self._rows.answers

    @property
    def size(self) -> int:
        """Bytes of the answers at the last removal."""
        return self._rows.size

    def configure(self, max_size: int, max_bytes: int) -> None:
        """Apply changed bounds."""
        self._max_size = max_size
        self._max_bytes = max_bytes
        self._remove_at = 0.0

    async def get(self, key: bytes, tag: str) -> CacheHit:
        """The entry under `key`, fresh or stale. The mark is None while the database is away: then nothing is put
        either."""
        vaults = self._link.vaults.all
        names = [(vault, self._link.name(b"a", key, vault), self._marks(tag, vault)) for vault in vaults]
        answers = [name for _, name, _ in names]
        marks = [mark for _, _, both in names for mark in both]
        found = await self._link.attempt(lambda: self._database.read(answers, marks))
        if found is None:
            return CacheHit(None, 0.0, None)
        values, there = found
        first = joined([there.get(name) or b"" for name in names[0][2]])
        for vault, name, both in names:
            mark = joined([there.get(each) or b"" for each in both])
            value = values.get(name)
            if mark is None or value is None or not value.left > 0:
                continue
            kept = unsealed(value.value, mark, vault, name, self._now())
            if kept is not None:
                self._use(name, value)
                return CacheHit(kept, max(0.0, kept.ttl + kept.stale - value.left), first)
        return CacheHit(None, 0.0, first if first is not None else await self._make_marks(names[0][2]))

    def put(self, key: bytes, tag: str, kept: CachedAnswer, mark: object) -> None:
        """Store an answer under the mark that was read before the fetch, unless it is too large."""
        if not isinstance(mark, bytes) or self._link.busy or len(kept.result) > self._max_bytes:
            return
        name, value = self._sealed(key, kept, mark)
        if value is None:
            return
        row = NewRow(
            self._link.scope, name, self._mark(tag, self._link.vaults.first), mark, value, kept.ttl + kept.stale
        )
        self._stored += len(value) + ENTRY_BYTES
        task = self._link.later(lambda: self._database.write(row), size=len(value))
        if task is not None:
            self._puts.add(task)
            task.add_done_callback(self._puts.discard)

    def sweep(self, now: float) -> None:
        """Open the database, and remove in the background what has no place any more."""
        self._link.open()
        grown = self._stored * GROWTH > self._max_bytes
        if (now < self._remove_at and not grown) or self._removing or self._link.trouble is not None:
            return
        task = self._link.later(self._remove, timeout=REMOVAL_TIMEOUT)
        self._removing = task is not None
        if task is not None:
            task.add_done_callback(self._removed)

    # --- one call for all gateways -------------------------------------------------------------------------------

    async def claim(self, key: bytes) -> bool:
        """Whether this gateway may make the call for `key`: False while another one makes it. True also while the
        database is away."""
        name = self._link.name(b"c", key)
        claimed = await self._link.attempt(lambda: self._database.claim(name, self._owner, LEASE))
        return claimed is not False

    def release(self, key: bytes) -> None:
        """The call for `key` has ended; what it stored is there before others may make the call."""
        name = self._link.name(b"c", key)
        self._link.later(lambda: self._database.release(name, self._owner), after=tuple(self._puts))

    # --- in the background ---------------------------------------------------------------------------------------

    def _use(self, name: bytes, found: Found) -> None:
        if not found.idle < TOUCH_AFTER and len(self._touched) < MAX_TOUCHED:
            self._touched.add(name)

    async def _remove(self) -> None:
        began = monotonic()
        self._stored = 0
        if self._touched:
            touched, self._touched = self._touched, set()
            await self._database.touch(sorted(touched))
        steps = (self._remove_expired, self._remove_invalidated, self._shrink)
        done = [await step(began + REMOVAL_SECONDS) for step in steps]
        took = monotonic() - began
        self._remove_at = monotonic() + (max(REMOVE_EVERY, REMOVAL_SHARE * took) if all(done) else took)

    def _removed(self, _: asyncio.Task[None]) -> None:
        self._removing = False
        self._remove_at = max(self._remove_at, monotonic() + SOON)

    async def _remove_expired(self, until: float) -> bool:
        while self._count("expired", await self._database.remove_expired()) >= REMOVED_AT_ONCE:
            if monotonic() > until:
                return False
        return True

    async def _remove_invalidated(self, until: float) -> bool:
        tags = sorted(self._invalidated)
        if not tags:
            return True
        while self._count("invalidated", await self._database.remove_invalidated(tags)) >= REMOVED_AT_ONCE:
            if monotonic() > until:
                return False
        self._invalidated.difference_update(tags)
        return True

    async def _shrink(self, until: float) -> bool:
        rows = await self._database.rows(self._link.scope)
        while rows.answers > self._max_size or rows.size > self._max_bytes:
            average = max(1, rows.size // max(1, rows.answers))
            surplus = max(rows.answers - self._max_size, -(-(rows.size - self._max_bytes) // average))
            reason = "size" if rows.answers > self._max_size else "bytes"
            gone = await self._database.remove_oldest(self._link.scope, surplus)
            self._count(reason, gone.answers)
            rows = Rows(rows.answers - gone.answers, rows.size - gone.size)
            if not gone.answers or monotonic() > until:  # none: another gateway removes them at this moment
                self._rows = rows
                return False
        self._rows = rows
        return True

    def _count(self, reason: str, removed: int) -> int:
        if removed:
            self._evictions[reason] = self._evictions.get(reason, 0) + removed
        return removed

    async def _change_marks(self, names: Sequence[bytes]) -> None:
        await self._database.set_marks([(name, os.urandom(MARK)) for name in names])
        self._invalidated.update(names[: MAX_INVALIDATED - len(self._invalidated)])

    async def _make_marks(self, names: tuple[bytes, bytes]) -> bytes | None:
        """Make the marks that are missing: never set, expired, or not ours. Answers stored under an earlier mark must
        not come back. Of several gateways that find no mark, one makes it."""

        async def make() -> bytes | None:
            _, there = await self._database.read((), names)
            for name in names:
                if not is_mark(there.get(name)):
                    await self._database.make_mark(name, os.urandom(MARK))
            _, there = await self._database.read((), names)
            return joined([there.get(name) for name in names])

        return await self._link.attempt(make)

    def _marks(self, tag: str, vault: Vault) -> tuple[bytes, bytes]:
        return self._mark(tag, vault), self._mark(EVERYTHING, vault)
