"""The one connection of a pool to Redis, shared by all its features. Redis may be gone or slow at any time.

After one operation that failed or took longer than `timeout` seconds, no call waits for Redis until it answers a PING,
which the link sends after a back-off. Pending writes that must come first follow right after the PING.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from mcppool.policy.backoff import exponential, full_jitter
from mcppool.wire.sealing import KeyRing
from mcppool.wire.vault import Vault, Vaults

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline

T = TypeVar("T")

REVIVE_BASE: Final = 0.2
REVIVE_MAX: Final = 10.0
"""Upper bound in seconds between two PINGs while it is away: full jitter under an exponential back-off."""

MAX_CONNECTIONS: Final = 32
INTEGER_BITS: Final = 64
"""Size of an integer in Redis."""

MAX_WRITING: Final = 256
MAX_WRITING_BYTES: Final = 16 * 1024 * 1024
"""Upper bound in bytes on writes in the background; above it, optional writes are left out."""


class NotRedis(Exception):
    """The answer is not one of Redis: Redis never gives such an answer to this command."""


def _is(kind: type, answer: object) -> bool:
    return isinstance(answer, kind) and not (isinstance(answer, int) and answer.bit_length() > INTEGER_BITS)


class RedisLink:
    """Operations on Redis that return None instead of raising, and at once while it is away.

    `errors` counts failures by kind: `timeout`, `connection`, `malformed` (a key that holds another type of value),
    `other`. Names of keys begin with `prefix`. `vaults` seal the values; they belong to `prefix` and the keys of
    `ring`. `reports` are called once with the reason when Redis goes away, and once with None when it is back;
    `trouble` is the reason while it is away. Raises ImportError if the extra `redis` is not installed, OSError or
    UnicodeDecodeError if the password's file cannot be read.
    """

    def __init__(
        self,
        url: str,
        prefix: str,
        errors: MutableMapping[str, int],
        ring: KeyRing,
        *,
        timeout: float,
        password_file: str | None = None,
    ) -> None:
        from redis import asyncio as redis  # here, because it is an extra and costs memory
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        password = Path(password_file).read_text().strip() if password_file is not None else None
        self.client: Redis = redis.Redis.from_pool(
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
        self.errors = errors
        self.reports: list[Callable[[str | None], None]] = []
        self.before_use: list[Callable[[], Awaitable[None]]] = []
        self.trouble: str | None = None
        self._prefix = f"{prefix}:".encode()
        self.renew_ring(ring)
        self._timeout = timeout
        self._reviving: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[Any]] = set()
        self._writing_bytes = 0
        self._rng = random.Random()
        self._closed = False

    def renew_ring(self, ring: KeyRing) -> None:
        """Seal and name with changed keys from now on."""
        self.vaults = Vaults(ring, b"redis\0" + self._prefix)

    def name(self, kind: bytes, key: bytes, vault: Vault | None = None) -> bytes:
        """The name of a key in Redis, by the first vault if none is given; it does not reveal `key`."""
        return self._prefix + kind + b":" + (vault or self.vaults.first).name(kind + b"\0" + key).encode()

    @property
    def writing(self) -> int:
        """Operations that go on in the background."""
        return len(self._writing)

    @property
    def busy(self) -> bool:
        """Whether so much is being written that callers should leave out optional writes."""
        return len(self._writing) >= MAX_WRITING or self._writing_bytes >= MAX_WRITING_BYTES

    async def answers(self, pipeline: Pipeline, kinds: Sequence[type] = ()) -> list[Any]:
        """Return the answers to a pipeline's commands: None for a key that holds another type of value, which is no
        fault of Redis.

        `kinds` are the types of the answers, where they matter: `bytes` for a value, `int` for a number of 64 bits.
        Raises NotRedis if an answer has another type.
        """
        from redis.exceptions import ResponseError

        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        for i, answer in enumerate(answers):
            if isinstance(answer, ResponseError) and str(answer).startswith("WRONGTYPE"):
                answers[i] = None
                self.errors["malformed"] = self.errors.get("malformed", 0) + 1
            elif isinstance(answer, Exception):
                raise answer
        for answer, kind in zip(answers, kinds, strict=bool(kinds)):
            if answer is not None and not _is(kind, answer):
                raise NotRedis(f"{type(answer).__name__} in the place of {kind.__name__}")
        return answers

    async def attempt(self, operation: Callable[[], Awaitable[T]]) -> T | None:
        """The result of the operation. If it fails: None, and Redis is not used until it works again."""
        if self.trouble is not None:
            return None
        try:
            async with asyncio.timeout(self._timeout):
                return await operation()
        except Exception as error:  # any error of the client library: the call goes on without Redis
            self._failed(error)
            return None

    def later(
        self, operation: Callable[[], Awaitable[object]], order: asyncio.Lock | None = None, size: int = 0
    ) -> None:
        """Do it in the background, unless Redis is away; operations with the same `order` run one after another. `size`
        is the bytes that wait with it. Before an optional write, check `busy`."""
        if self.trouble is None:
            task = asyncio.create_task(self._write(operation, order), name="redis write")
            self._writing.add(task)
            self._writing_bytes += size
            task.add_done_callback(partial(self._written, size))

    def _written(self, size: int, task: asyncio.Task[Any]) -> None:
        self._writing.discard(task)
        self._writing_bytes -= size

    async def _write(self, operation: Callable[[], Awaitable[object]], order: asyncio.Lock | None) -> None:
        async with order or contextlib.nullcontext():
            await self.attempt(operation)

    async def close(self) -> None:
        """Close all connections for good."""
        self._closed = True
        tasks = [*self._writing] if self._reviving is None else [*self._writing, self._reviving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.client.aclose()

    def _failed(self, error: Exception) -> None:
        from redis import exceptions

        late = isinstance(error, TimeoutError | exceptions.TimeoutError)
        kind = (
            "timeout" if late else "connection" if isinstance(error, exceptions.ConnectionError | OSError) else "other"
        )
        self.errors[kind] = self.errors.get(kind, 0) + 1
        if self.trouble is None and not self._closed:
            self.trouble = f"no answer within {self._timeout:g} s" if late else str(error) or type(error).__name__
            self._reviving = asyncio.create_task(self._revive(), name="redis")
            self._report()

    async def _revive(self) -> None:
        tries = 0
        while True:
            tries += 1
            await asyncio.sleep(max(0.05, full_jitter(exponential(tries, REVIVE_BASE, REVIVE_MAX), self._rng)))
            try:
                async with asyncio.timeout(self._timeout):
                    await cast("Awaitable[bool]", self.client.ping())
                    for prepare in list(self.before_use):
                        await prepare()
            except Exception:  # as in `attempt`: nothing may end this task while Redis is away  # noqa: S112
                continue
            self.trouble = None
            self._report()
            return

    def _report(self) -> None:
        for report in list(self.reports):
            report(self.trouble)
