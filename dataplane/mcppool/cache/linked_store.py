"""The common part of stores of answers outside this process: marks by tag, and invalidations that they have not got
yet."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from mcppool.cache.owed_tags import OwedTags
from mcppool.cache.sealed_answer import sealed
from mcppool.cache.store import CachedAnswer
from mcppool.cache.store_link import StoreLink
from mcppool.wire.vault import Vault

L = TypeVar("L", bound=StoreLink)


class LinkedStore(ABC, Generic[L]):
    """A store over a link that it may share. `now` is wall-clock time in seconds."""

    def __init__(self, link: L, now: Callable[[], float]) -> None:
        self._link = link
        self._now = now
        self._owed = OwedTags()
        link.before_use.append(self._pay)

    @property
    def owed(self) -> int:
        """Number of invalidated tags that the store has not got yet."""
        return len(self._owed)

    @property
    def trouble(self) -> str | None:
        """The reason why it does not work now."""
        return self._link.trouble

    def invalidate(self, tags: tuple[str, ...]) -> None:
        """Change the marks of `tags`, for all gateways."""
        self._owed.add(tags)
        if tags:
            self._link.later(self._pay)

    async def close(self) -> None:
        """Do no more for the link, which its owner closes."""
        self._link.before_use.remove(self._pay)

    @abstractmethod
    async def _change_marks(self, names: Sequence[bytes]) -> None:
        """Set these marks to new random values."""

    async def _pay(self) -> None:
        tags = self._owed.now()
        if not tags:
            return
        # A gateway with other keys first uses those.
        await self._change_marks([self._mark(tag, vault) for tag in tags for vault in self._link.vaults.all])
        self._owed.paid(tags)

    def _sealed(self, key: bytes, kept: CachedAnswer, mark: bytes) -> tuple[bytes, bytes | None]:
        """The name of an answer, and its sealed value; None if it is too large to be stored."""
        vault = self._link.vaults.first
        name = self._link.name(b"a", key, vault)
        return name, sealed(kept, mark, vault, name, self._now())

    def _mark(self, tag: str, vault: Vault) -> bytes:
        return self._link.name(b"m", tag.encode("utf-8", "surrogatepass"), vault)
