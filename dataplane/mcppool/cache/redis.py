"""A cache in Redis, shared by all gateways of a pool that have the sealing keys. While Redis is away, calls go on
without it; when it is back, pending invalidations come first.

The gateway trusts nothing that it reads from Redis. An answer is sealed under its name: one that was changed, forged,
moved or stored without the key is a miss.

An invalidation does not know the names of the entries that it removes. So each answer is stored with the mark of its
tag, and an invalidation changes the mark. Answer and mark are read in one round trip. A mark is random bytes without
meaning: somebody who can write marks can cause answers to be fetched again, and no more.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from time import time
from typing import Final

from mcppool.cache.redis_link import RedisLink
from mcppool.cache.store import CachedAnswer, CacheHit
from mcppool.wire.vault import OVERHEAD, Vault

MARK_LIFE: Final = 168 * 3600
"""Seconds after which a mark is made anew, so that unused tags leave nothing behind."""

MAX_VALUE: Final = 1024 * 1024
"""Upper bound in bytes on a stored answer. A larger one would delay all calls that use Redis meanwhile."""

MAX_OWED: Final = 1024
MAX_OWED_BYTES: Final = 256 * 1024
"""Upper bound in bytes on tags whose invalidation Redis has not got yet. Above it, the whole cache is invalidated."""

SKEW: Final = 60.0
"""Allowed difference in seconds between the clocks of gateways. An answer older than its lifetime plus this is
a miss, whatever age Redis gives."""

_HEAD: Final = struct.Struct(">BdddII")  # version, second of storing, ttl, stale, begin and end of the hint
_VERSION: Final = 2
_NO_HINT: Final = (0, 0)
_MARK: Final = 8  # bytes of a mark
_EVERYTHING: Final = ""  # the tag of all answers

Marks = list[bytes | None]
"""The values in Redis of the mark of a tag and of the mark of everything: empty if missing, None if the value is no
mark."""


class RedisStore:
    """A store in Redis, over a link that it may share. `now` is wall-clock time in seconds."""

    def __init__(self, link: RedisLink, now: Callable[[], float] = time) -> None:
        self._link = link
        self._now = now
        self._owed: set[str] = set()  # invalidated tags that Redis has not got yet
        self._owed_bytes = 0
        link.before_use.append(self._pay)

    @property
    def owed(self) -> int:
        """Number of invalidated tags that Redis has not got yet."""
        return len(self._owed)

    @property
    def trouble(self) -> str | None:
        """The reason why it does not work now."""
        return self._link.trouble

    async def get(self, key: bytes, tag: str) -> CacheHit:
        """The entry under `key`, fresh or stale. The mark is None while Redis is away: then nothing is put either."""
        vaults = self._link.vaults.all

        async def read() -> list[tuple[Vault, bytes, Marks, int]]:
            pipeline = self._link.client.pipeline(transaction=False)
            for vault in vaults:
                pipeline.getrange(self._link.name(b"a", key, vault), 0, MAX_VALUE)
                for each in (tag, _EVERYTHING):
                    pipeline.getrange(self._mark(each, vault), 0, _MARK)
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
            mark = _joined(marks)
            name = self._link.name(b"a", key, vault)
            kept = None if mark is None or left <= 0 else self._read(vault.open(value, name), mark)
            if kept is not None:
                return CacheHit(kept, max(0.0, kept.ttl + kept.stale - left / 1000), _joined(found[0][2]))
        mark = _joined(found[0][2])
        return CacheHit(None, 0.0, mark if mark is not None else await self._make_marks(tag, found[0][2]))

    def put(self, key: bytes, tag: str, kept: CachedAnswer, mark: object) -> None:  # noqa: ARG002 (the mark stands for it)
        """Store an answer under the mark that was read before the fetch, unless it is too large."""
        if not isinstance(mark, bytes) or self._link.busy:
            return
        begin, end = kept.hint or _NO_HINT
        value = _HEAD.pack(_VERSION, self._now(), kept.ttl, kept.stale, begin, end) + mark + kept.result
        if len(value) + OVERHEAD > MAX_VALUE:
            return
        vault = self._link.vaults.first
        name = self._link.name(b"a", key, vault)
        sealed = vault.seal(value, name)
        life = max(1, int((kept.ttl + kept.stale) * 1000))
        self._link.later(lambda: self._link.client.set(name, sealed, px=life), size=len(sealed))

    def invalidate(self, tags: tuple[str, ...]) -> None:
        """Change the marks of `tags`, for all gateways."""
        for tag in tags:
            if tag not in self._owed and _EVERYTHING not in self._owed:
                self._owed.add(tag)
                self._owed_bytes += len(tag)
        if len(self._owed) > MAX_OWED or self._owed_bytes > MAX_OWED_BYTES:
            self._owed, self._owed_bytes = {_EVERYTHING}, 0
        if tags:
            self._link.later(self._pay)

    def sweep(self, now: float) -> None:
        """Do nothing: Redis expires entries itself."""

    async def close(self) -> None:
        """Do nothing: the owner of the link closes it."""
        self._link.before_use.remove(self._pay)

    async def _pay(self) -> None:
        tags = tuple(self._owed)
        if not tags:
            return
        pipeline = self._link.client.pipeline(transaction=False)
        for tag in tags:
            for vault in self._link.vaults.all:  # a gateway with other keys first uses those
                pipeline.set(self._mark(tag, vault), os.urandom(_MARK), ex=MARK_LIFE)
        await self._link.answers(pipeline)
        self._owed.difference_update(tags)
        self._owed_bytes = sum(map(len, self._owed))

    async def _make_marks(self, tag: str, marks: Marks) -> bytes | None:
        """Make the marks that are missing: never set, evicted, or not ours. Entries stored under an earlier mark must
        not come back."""
        vault = self._link.vaults.first

        async def make() -> bytes | None:
            names = [self._mark(each, vault) for each in (tag, _EVERYTHING)]
            there = marks
            # Of several gateways that find no mark, one makes it; an invalid mark is overwritten.
            for missing in (True, False):
                pipeline = self._link.client.pipeline(transaction=False)
                for name, mark in zip(names, there, strict=True):
                    if not _is_mark(mark):
                        pipeline.set(name, os.urandom(_MARK), nx=missing, ex=MARK_LIFE)
                written = len(pipeline)
                for name in names:
                    pipeline.getrange(name, 0, _MARK)
                there = (await self._link.answers(pipeline, [object] * written + [bytes] * len(names)))[written:]
                if all(map(_is_mark, there)):
                    break
            return _joined(there)

        return await self._link.attempt(make)

    def _read(self, opened: bytes | None, mark: bytes) -> CachedAnswer | None:
        """The answer, if a gateway with the key has stored it and it has not been invalidated since."""
        if opened is None or len(opened) < _HEAD.size or opened[0] != _VERSION:
            return None
        _, stored, ttl, stale, begin, end = _HEAD.unpack_from(opened)
        begins = _HEAD.size + len(mark)
        if opened[_HEAD.size : begins] != mark or self._now() > stored + ttl + stale + SKEW:
            return None
        hint = (begin, end)
        return CachedAnswer(opened[begins:], ttl, stale, None if hint == _NO_HINT else hint)

    def _mark(self, tag: str, vault: Vault) -> bytes:
        return self._link.name(b"m", tag.encode("utf-8", "surrogatepass"), vault)


def _is_mark(mark: bytes | None) -> bool:
    return mark is not None and len(mark) == _MARK


def _joined(marks: Marks) -> bytes | None:
    """Both marks as one, None if one of them is invalid."""
    found = [mark for mark in marks if mark is not None and len(mark) == _MARK]
    return b"".join(found) if len(found) == len(marks) else None
