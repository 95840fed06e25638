"""The link of a pool to a store outside this process, also if none could be made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Generic, TypeVar

from mcppool.cache.store_link import StoreLink
from mcppool.wire.sealing import KeyRing

L = TypeVar("L", bound=StoreLink)


class PoolStore(ABC, Generic[L]):
    """The link that `make` returns; None if it raises an error: then `trouble` is the cause.

    `extra` is the extra of the package that the client library belongs to, for the message if it is not installed.
    """

    def __init__(self, pool: str, extra: str, make: Callable[[], L]) -> None:
        self._pool = pool
        self._broken: str | None = None
        self.link: L | None = None
        try:
            self.link = make()
        except ImportError:
            self._broken = f"the extra `{extra}` of mcp-server-pool is not installed"
        except OSError as error:
            self._broken = str(error)
        if self.link is None:
            self._report(self._broken)
        else:
            self.link.reports.append(self._report)

    @property
    def trouble(self) -> str | None:
        """The reason why it is not used now."""
        return self.link.trouble if self.link is not None else self._broken

    def renew_ring(self, ring: KeyRing) -> None:
        """Apply changed keys."""
        if self.link is not None:
            self.link.renew_ring(ring)

    async def close(self) -> None:
        """Close all connections."""
        if self.link is not None:
            await self.link.close()

    @abstractmethod
    def _report(self, trouble: str | None) -> None:
        """Log that the store is away and why, or with None that it is back."""
