"""A cache in Redis, shared by all gateways of a pool that have the sealing keys. While Redis is away, calls go on
without it; when it is back, pending invalidations come first.

Answer and marks (see `sealed_answer`) are read in one round trip.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from time import time

from mcppool.cache.linked_store import LinkedStore
from mcppool.cache.redis_link import RedisLink
from mcppool.cache.sealed_answer import (
    EVERYTHING,
    MARK,
    MARK_LIFE,
    MAX_VALUE,
    Marks,
    is_mark,
    joined,
    unsealed,
)
from mcppool.cache.store import CachedAnswer, CacheHit
from mcppool.wire.vault import Vault


class RedisStore(LinkedStore[RedisLink]):
    """A store in Redis, over a link that it may share. `now` is wall-clock time in seconds."""

    def __init__(self, link: RedisLink, now: Callable[[], float] = time) -> None:
        super().__init__(link, now)

    async def get(self, key: bytes, tag: str) -> CacheHit:
        """The entry under `key`, fresh or stale. The mark is None while Redis is away: then nothing is put either."""
        vaults = self._link.vaults.all

        async def read() -> list[tuple[Vault, bytes, Marks, int]]:
            pipeline = self._link.client.pipeline(transaction=False)
            for vault in vaults:
                pipeline.getrange(self._link.name(b"a", key, vault), 0, MAX_VALUE)
                for each in (tag, EVERYTHING):
                    pipeline.getrange(self._mark(each, vault), 0, MARK)
                pipeline.pttl(self._link.name(b"a", key, vault))
            answers = await self._link.answers(pipeline, (bytes, bytes, bytes, int) * len(vaults))
            return [
                (vault, answers[4 * i] or b"", answers[4 * i + 1 : 4 * i + 3], answers[4 * i + 3] or 0)
                for i, vault in enumerate(vaults)
            ]

        found = await self._link.attempt(read)
        if found is None:
            return CacheHit(None, 0.0, None)
        for vault, value, marks, left in found:
            mark = joined(marks)
            name = self._link.name(b"a", key, vault)
            kept = None if mark is None or left <= 0 else unsealed(value, mark, vault, name, self._now())
            if kept is not None:
                return CacheHit(kept, max(0.0, kept.ttl + kept.stale - left / 1000), joined(found[0][2]))
        mark = joined(found[0][2])
        return CacheHit(None, 0.0, mark if mark is not None else await self._make_marks(tag, found[0][2]))

    def put(self, key: bytes, tag: str, kept: CachedAnswer, mark: object) -> None:  # noqa: ARG002 (the mark stands for it)
        """Store an answer under the mark that was read before the fetch, unless it is too large."""
        if not isinstance(mark, bytes) or self._link.busy:
            return
        name, value = self._sealed(key, kept, mark)
        if value is None:
            return
        life = max(1, int((kept.ttl + kept.stale) * 1000))
        self._link.later(lambda: self._link.client.set(name, value, px=life), size=len(value))

    def sweep(self, now: float) -> None:
        """Do nothing: Redis expires entries itself."""

    async def _change_marks(self, names: Sequence[bytes]) -> None:
        pipeline = self._link.client.pipeline(transaction=False)
        for name in names:
            pipeline.set(name, os.urandom(MARK), ex=MARK_LIFE)
        await self._link.answers(pipeline)

    async def _make_marks(self, tag: str, marks: Marks) -> bytes | None:
        """Make the marks that are missing: never set, evicted, or not ours. Entries stored under an earlier mark must
        not come back."""
        vault = self._link.vaults.first

        async def make() -> bytes | None:
            names = [self._mark(each, vault) for each in (tag, EVERYTHING)]
            there = marks
            # Of several gateways that find no mark, one makes it; an invalid mark is overwritten.
            for missing in (True, False):
                pipeline = self._link.client.pipeline(transaction=False)
                for name, mark in zip(names, there, strict=True):
                    if not is_mark(mark):
                        pipeline.set(name, os.urandom(MARK), nx=missing, ex=MARK_LIFE)
                written = len(pipeline)
                for name in names:
                    pipeline.getrange(name, 0, MARK)
                there = (await self._link.answers(pipeline, [object] * written + [bytes] * len(names)))[written:]
                if all(map(is_mark, there)):
                    break
            return joined(there)

        return await self._link.attempt(make)
