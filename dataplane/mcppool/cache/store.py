"""The interface of a store of answers, and its entries."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

MAX_DIGITS = 18
"""Upper bound on the digits of a `ttlMs`; a longer number means no limit of its own."""


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """One stored answer.

    `result` is the raw JSON of a JSON-RPC result. It is fresh for `ttl` seconds, and is held for `stale` more in case
    no server can answer. `hint` is the position of the number of its `ttlMs` in `result` (start, end), None if it has
    none.
    """

    result: bytes
    ttl: float
    stale: float = 0.0
    hint: tuple[int, int] | None = None

    def aged(self, age: float) -> bytes:
        """The result to give `age` seconds after it came: its `ttlMs` is the rest of the lifetime."""
        if self.hint is None:
            return self.result
        start, end = self.hint
        said = self.result[start:end]
        whole = int(said) if len(said) <= MAX_DIGITS else int(self.ttl * 1000)
        left = max(0, whole - int(age * 1000))
        return b"%b%d%b" % (self.result[:start], left, self.result[end:])


@dataclass(frozen=True, slots=True)
class CacheHit:
    """The result of a look-up: an answer and its age in seconds, or None.

    `mark` goes back to `put` with the answer that is fetched instead, so that an answer which was invalidated meanwhile
    is not stored.
    """

    kept: CachedAnswer | None
    age: float
    mark: object

    @property
    def fresh(self) -> bool:
        """Whether there is an answer to give without asking a server."""
        return self.kept is not None and self.age < self.kept.ttl


class CacheStore(Protocol):
    """Stores answers under keys. A `tag` names the subject of an answer; all answers with a tag are invalidated
    together.

    No method raises: a store that does not work finds nothing, stores nothing, and gives the reason in `trouble`.
    """

    @property
    def trouble(self) -> str | None:
        """The reason why it does not work now."""
        ...

    async def get(self, key: bytes, tag: str) -> CacheHit:
        """The entry under `key`, fresh or stale."""
        ...

    def put(self, key: bytes, tag: str, kept: CachedAnswer, mark: object) -> None:
        """Store an answer that was fetched after `get` gave `mark`; a store over the network does so in the
        background."""
        ...

    def invalidate(self, tags: tuple[str, ...]) -> None:
        """Remove all answers with one of `tags`, and do not store those that are being fetched."""
        ...

    def sweep(self, now: float) -> None:
        """Remove expired answers (`now`: monotonic seconds); called several times a second."""
        ...

    async def close(self) -> None:
        """Close the store's resources."""
        ...


class SharedClaims(Protocol):
    """Claims on calls, so that one of several gateways makes a call for all of them."""

    async def claim(self, key: bytes) -> bool:
        """Whether this gateway may make the call for `key` now: False while another one makes it."""
        ...

    def release(self, key: bytes) -> None:
        """The claimed call has ended; what it stored is there before another gateway gets the claim."""
        ...


class BrokenStore:
    """Takes the place of a store that could not be made, so that calls go on and the reason is visible."""

    def __init__(self, trouble: str) -> None:
        self.trouble: str | None = trouble

    async def get(self, key: bytes, tag: str) -> CacheHit:  # noqa: ARG002
        """Find nothing."""
        return CacheHit(None, 0.0, None)

    def put(self, key: bytes, tag: str, kept: CachedAnswer, mark: object) -> None:
        """Store nothing."""

    def invalidate(self, tags: tuple[str, ...]) -> None:
        """Do nothing."""

    def sweep(self, now: float) -> None:
        """Do nothing."""

    async def close(self) -> None:
        """Do nothing."""
