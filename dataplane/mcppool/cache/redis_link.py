"""The one connection of a pool to Redis, shared by all its features."""

from __future__ import annotations

from collections.abc import Awaitable, MutableMapping, Sequence
from typing import TYPE_CHECKING, Any, Final, cast

from mcppool.cache.password_file import read_password
from mcppool.cache.store_link import StoreLink
from mcppool.wire.sealing import KeyRing
from mcppool.wire.vault import Vault

if TYPE_CHECKING:
    from redis.asyncio import Redis
    from redis.asyncio.client import Pipeline

MAX_CONNECTIONS: Final = 32
INTEGER_BITS: Final = 64
"""Size of an integer in Redis."""


class NotRedis(Exception):
    """The answer is not one of Redis: Redis never gives such an answer to this command."""


def _is(kind: type, answer: object) -> bool:
    return isinstance(answer, kind) and not (isinstance(answer, int) and answer.bit_length() > INTEGER_BITS)


class RedisLink(StoreLink):
    """The link to Redis. Names of keys begin with `prefix`.

    Failures count as `timeout`, `connection`, `malformed` (a key that holds another type of value) or `other`. Raises
    ImportError if the extra `redis` is not installed, UnreadablePassword if the file of the password cannot be read.
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

        password = read_password("redis_password_file", password_file) if password_file is not None else None
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
        self._prefix = f"{prefix}:".encode()
        super().__init__(b"redis\0" + self._prefix, errors, ring, timeout=timeout)

    def name(self, kind: bytes, key: bytes, vault: Vault | None = None) -> bytes:
        """The name of a key in Redis, by the first vault if none is given; it does not reveal `key`."""
        return self._prefix + kind + b":" + (vault or self.vaults.first).name(kind + b"\0" + key).encode()

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

    def kind_of(self, error: Exception) -> str:
        """The kind under which a failure is counted."""
        from redis import exceptions

        if isinstance(error, TimeoutError | exceptions.TimeoutError):
            return "timeout"
        return "connection" if isinstance(error, exceptions.ConnectionError | OSError) else "other"

    async def check(self) -> None:
        """Send a PING. Raises the reason if Redis does not answer it."""
        await cast("Awaitable[bool]", self.client.ping())

    async def disconnect(self) -> None:
        """Close all connections."""
        await self.client.aclose()
