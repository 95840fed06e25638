"""What a store of answers can do, and what it keeps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

MAX_DIGITS = 18
"""Of a `ttlMs` that is read as a number; what is longer means for as long as it is kept."""


@dataclass(frozen=True, slots=True)
class CachedAnswer:
    """One kept answer.

    `result` is the raw JSON of a JSON-RPC result. `ttl` is for how many seconds it is fresh, `stale` for how many more
    it is held for the case that nobody can answer. `hint` is where the number of its own `ttlMs` stands in `result`
    (start, end), None where it has none.
    """

    result: bytes
    ttl: float
    stale: float = 0.0
    hint: tuple[int, int] | None = None

    def aged(self, age: float) -> bytes:
        """The result as it is to be given `age` seconds after it came: its `ttlMs` is what is left of it."""
        if self.hint is None:
            return self.result
        start, end = self.hint
        said = self.result[start:end]
        whole = int(said) if len(said) <= MAX_DIGITS else int(self.ttl * 1000)
        left = max(0, whole - int(age * 1000))
        return b"%b%d%b" % (self.result[:start], left, self.result[end:])


@dataclass(frozen=True, slots=True)
class CacheHit:
    """What a look into the store brought: an answer and its age in seconds, or None.

    `mark` goes back to `put` with the answer that is fetched instead, so that one which was invalidated meanwhile is
    not kept.
    """

    kept: CachedAnswer | None
    age: float
    mark: object

    @property
    def fresh(self) -> bool:
        """Whether there is an answer that may be given without asking anybody."""
        return self.kept is not None and self.age < self.kept.ttl


class Store(Protocol):
    """Keeps answers under keys. A `tag` names what an answer is about; all answers with a tag are invalidated together.

    Nothing here raises: a store that does not work finds nothing, keeps nothing and says why in `trouble`.
    """

    @property
    def trouble(self) -> str | None:
        """Why it does not work now."""
        ...

    async def get(self, key: bytes, tag: str) -> CacheHit:
        """What is kept under `key`, fresh or stale."""
        ...

    def put(self, key: bytes, tag: str, kept: CachedAnswer, mark: object) -> None:
        """Keep an answer that was fetched after `get` gave `mark`; a store over the network does so in the
        background."""
        ...

    def invalidate(self, tags: tuple[str, ...]) -> None:
        """Forget all answers with one of `tags`, and do not keep those that are being fetched."""
        ...

    def sweep(self, now: float) -> None:
        """Let go of what has expired (`now`: monotonic seconds); called several times a second."""
        ...

    async def close(self) -> None:
        """End what the store holds open."""
        ...


class BrokenStore:
    """Stands for a store that could not be made, so that calls go on and it is seen why."""

    def __init__(self, trouble: str) -> None:
        self.trouble: str | None = trouble

    async def get(self, key: bytes, tag: str) -> CacheHit:  # noqa: ARG002
        """Nothing."""
        return CacheHit(None, 0.0, None)

    def put(self, key: bytes, tag: str, kept: CachedAnswer, mark: object) -> None:
        """Nothing is kept."""

    def invalidate(self, tags: tuple[str, ...]) -> None:
        """There is nothing to forget."""

    def sweep(self, now: float) -> None:
        """Nothing expires."""

    async def close(self) -> None:
        """Nothing is open."""
