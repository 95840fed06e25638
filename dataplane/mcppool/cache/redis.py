"""Answers kept in Redis, shared by all gateways of a pool. While it is away calls go on without it, and when it is back
what was invalidated meanwhile is invalidated first.

An invalidation cannot delete what it does not know the names of: instead each answer is stored with the mark of its
tag, and to invalidate is to change the mark. Answer and mark are read in one round trip.
"""

from __future__ import annotations

import os
import struct
from typing import Final

from mcppool.cache.redis_link import RedisLink
from mcppool.cache.store import Found, Kept

MARK_LIFE: Final = 168 * 3600
"""Seconds after which a mark is made anew, so that tags of which nobody speaks any more leave nothing behind."""

_HEAD: Final = struct.Struct(">BddIIH")  # version, ttl, stale, begin and end of the hint, length of the mark
_VERSION: Final = 1
_NO_HINT: Final = (0, 0)


class RedisStore:
    """A store in Redis, over a link that others may use too."""

    def __init__(self, link: RedisLink) -> None:
        self._link = link
        self._owed: set[str] = set()  # tags that were invalidated and are not yet so in Redis
        link.before_use.append(self._pay)

    @property
    def trouble(self) -> str | None:
        """Why it does not work now."""
        return self._link.trouble

    async def get(self, key: bytes, tag: str) -> Found:
        """What is kept under `key`, fresh or stale. The mark is None where Redis is away: then nothing is put
        either."""
        name = self._link.name(b"a", key)

        async def read() -> tuple[bytes | None, bytes | None, int]:
            pipeline = self._link.client.pipeline(transaction=False)
            pipeline.mget(name, self._mark(tag))
            pipeline.pttl(name)
            (value, mark), left = await pipeline.execute()
            if mark is None:  # never set, or evicted: what was stored under an earlier one must not come back
                pipeline.set(self._mark(tag), os.urandom(8), nx=True, ex=MARK_LIFE)
                pipeline.get(self._mark(tag))
                _, mark = await pipeline.execute()
            return value, mark, left

        answer = await self._link.attempt(read)
        if answer is None:
            return Found(None, 0.0, None)
        value, mark, left = answer
        kept = None if value is None or mark is None or left < 0 else _unpack(value, mark)
        if kept is None:
            return Found(None, 0.0, mark)
        return Found(kept, max(0.0, kept.ttl + kept.stale - left / 1000), mark)

    def put(self, key: bytes, tag: str, kept: Kept, mark: object) -> None:  # noqa: ARG002 (the mark stands for it)
        """Store an answer under the mark that was read before it was fetched."""
        if isinstance(mark, bytes) and not self._link.busy:
            life = max(1, int((kept.ttl + kept.stale) * 1000))
            name, value = self._link.name(b"a", key), _pack(kept, mark)
            self._link.later(lambda: self._link.client.set(name, value, px=life))

    def invalidate(self, tags: tuple[str, ...]) -> None:
        """Change the marks of `tags`, for all gateways."""
        if not tags:
            return
        self._owed |= set(tags)
        self._link.later(self._pay)

    def sweep(self, now: float) -> None:
        """Redis expires by itself."""

    async def close(self) -> None:
        """The link is its maker's."""
        self._link.before_use.remove(self._pay)

    async def _pay(self) -> None:
        tags = tuple(self._owed)
        if not tags:
            return
        pipeline = self._link.client.pipeline(transaction=False)
        for tag in tags:
            pipeline.set(self._mark(tag), os.urandom(8), ex=MARK_LIFE)
        await pipeline.execute()
        self._owed.difference_update(tags)

    def _mark(self, tag: str) -> bytes:
        return self._link.name(b"m", tag.encode("utf-8", "surrogatepass"))


def _pack(kept: Kept, mark: bytes) -> bytes:
    begin, end = kept.hint or _NO_HINT
    return _HEAD.pack(_VERSION, kept.ttl, kept.stale, begin, end, len(mark)) + mark + kept.result


def _unpack(value: bytes, mark: bytes) -> Kept | None:
    """The answer, where it was stored by a version that we know and has not been invalidated since."""
    if len(value) < _HEAD.size or value[0] != _VERSION:
        return None
    _, ttl, stale, begin, end, length = _HEAD.unpack_from(value)
    stored = value[_HEAD.size : _HEAD.size + length]
    if stored != mark:
        return None
    hint = (begin, end)
    return Kept(value[_HEAD.size + length :], ttl, stale, None if hint == _NO_HINT else hint)
