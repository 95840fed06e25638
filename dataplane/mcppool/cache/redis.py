"""Answers kept in Redis, shared by all gateways of a pool. It may be gone or slow at any time: calls go on without it.

After one operation that failed or took longer than `timeout` seconds no call waits for Redis any more, until it
answers a PING that we send it after a back-off; what was invalidated meanwhile is invalidated first. An invalidation
cannot delete what it does not know the names of: instead each answer is stored with the mark of its tag, and to
invalidate is to change the mark. Answer and mark are read in one round trip.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import random
import struct
from collections.abc import Awaitable, Callable, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from mcppool.cache.store import Found, Kept
from mcppool.policy.backoff import exponential, full_jitter

if TYPE_CHECKING:
    from redis.asyncio import Redis

T = TypeVar("T")

REVIVE_BASE: Final = 0.2
REVIVE_MAX: Final = 10.0
"""Seconds between two PINGs while it is away: full jitter under an exponential back-off."""

MAX_CONNECTIONS: Final = 32
MAX_WRITING: Final = 256  # answers that are being stored; more are not kept

MARK_LIFE: Final = 168 * 3600
"""Seconds after which a mark is made anew, so that tags of which nobody speaks any more leave nothing behind."""

_HEAD: Final = struct.Struct(">BddIIH")  # version, ttl, stale, begin and end of the hint, length of the mark
_VERSION: Final = 1
_NO_HINT: Final = (0, 0)


class RedisStore:
    """A store in Redis. `errors` is counted into, by kind: `timeout`, `connection`, `other`.

    `report` is told once when Redis goes (why) and once when it is back (None). Raises ImportError where the extra
    `redis` is not installed, OSError where the password's file cannot be read.
    """

    def __init__(
        self,
        url: str,
        prefix: str,
        errors: MutableMapping[str, int],
        report: Callable[[str | None], None],
        *,
        timeout: float,
        password_file: str | None = None,
    ) -> None:
        from redis import asyncio as redis  # here, because it is an extra and costs memory
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        password = Path(password_file).read_text().strip() if password_file is not None else None
        self._client: Redis = redis.Redis.from_pool(
            redis.BlockingConnectionPool.from_url(
                url,
                password=password,
                max_connections=MAX_CONNECTIONS,
                timeout=timeout,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),
            )
        )
        self._prefix = f"{prefix}:".encode()
        self._timeout = timeout
        self._errors = errors
        self._report = report
        self._reviving: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[Any]] = set()
        self._rng = random.Random()
        self._owed: set[str] = set()  # tags that were invalidated while Redis was away
        self.trouble: str | None = None

    async def get(self, key: bytes, tag: str) -> Found:
        """What is kept under `key`, fresh or stale. The mark is None where Redis is away: then nothing is put
        either."""
        if self.trouble is not None:
            return Found(None, 0.0, None)
        name = self._name(b"a", key)

        async def read() -> tuple[bytes | None, bytes | None, int]:
            pipeline = self._client.pipeline(transaction=False)
            pipeline.mget(name, self._mark(tag))
            pipeline.pttl(name)
            (value, mark), left = await pipeline.execute()
            if mark is None:  # never set, or evicted: what was stored under an earlier one must not come back
                pipeline.set(self._mark(tag), os.urandom(8), nx=True, ex=MARK_LIFE)
                pipeline.get(self._mark(tag))
                _, mark = await pipeline.execute()
            return value, mark, left

        answer = await self._try(read)
        if answer is None:
            return Found(None, 0.0, None)
        value, mark, left = answer
        kept = None if value is None or mark is None or left < 0 else _unpack(value, mark)
        if kept is None:
            return Found(None, 0.0, mark)
        return Found(kept, max(0.0, kept.ttl + kept.stale - left / 1000), mark)

    def put(self, key: bytes, tag: str, kept: Kept, mark: object) -> None:  # noqa: ARG002 (the mark stands for it)
        """Store an answer under the mark that was read before it was fetched."""
        if isinstance(mark, bytes) and self.trouble is None and len(self._writing) < MAX_WRITING:
            life = max(1, int((kept.ttl + kept.stale) * 1000))
            name, value = self._name(b"a", key), _pack(kept, mark)
            self._write(lambda: self._client.set(name, value, px=life))

    def invalidate(self, tags: tuple[str, ...]) -> None:
        """Change the marks of `tags`, for all gateways."""
        if not tags:
            return
        self._owed |= set(tags)
        if self.trouble is None:
            self._write(self._pay)

    def sweep(self, now: float) -> None:
        """Redis expires by itself."""

    async def close(self) -> None:
        """Close all connections."""
        tasks = [*self._writing] if self._reviving is None else [*self._writing, self._reviving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._client.aclose()

    def _write(self, operation: Callable[[], Awaitable[object]]) -> None:
        task = asyncio.create_task(self._try(operation), name="redis write")
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)

    async def _pay(self) -> None:
        tags = tuple(self._owed)
        pipeline = self._client.pipeline(transaction=False)
        for tag in tags:
            pipeline.set(self._mark(tag), os.urandom(8), ex=MARK_LIFE)
        await pipeline.execute()
        self._owed.difference_update(tags)

    async def _try(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        """What the operation gives; None where it fails, and then Redis is left alone until it is well again."""
        from redis.exceptions import RedisError

        try:
            async with asyncio.timeout(self._timeout):
                return await operation()
        except (RedisError, OSError, TimeoutError) as error:
            self._failed(error)
            return None

    def _failed(self, error: Exception) -> None:
        from redis import exceptions

        late = isinstance(error, TimeoutError | exceptions.TimeoutError)
        kind = (
            "timeout" if late else "connection" if isinstance(error, exceptions.ConnectionError | OSError) else "other"
        )
        self._errors[kind] = self._errors.get(kind, 0) + 1
        if self.trouble is None:
            self.trouble = f"no answer within {self._timeout:g} s" if late else str(error) or type(error).__name__
            self._report(self.trouble)
            self._reviving = asyncio.create_task(self._revive(), name="redis")

    async def _revive(self) -> None:
        from redis.exceptions import RedisError

        tries = 0
        while True:
            tries += 1
            await asyncio.sleep(max(0.05, full_jitter(exponential(tries, REVIVE_BASE, REVIVE_MAX), self._rng)))
            try:
                async with asyncio.timeout(self._timeout):
                    await cast("Awaitable[bool]", self._client.ping())
                    if self._owed:
                        await self._pay()
            except (RedisError, OSError, TimeoutError):
                continue
            self.trouble = None
            self._report(None)
            return

    def _name(self, kind: bytes, key: bytes) -> bytes:
        return self._prefix + kind + b":" + hashlib.sha256(key).hexdigest().encode()

    def _mark(self, tag: str) -> bytes:
        return self._name(b"m", tag.encode("utf-8", "surrogatepass"))


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
