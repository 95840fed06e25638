"""A pool's connection to the database of its cache."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Final, TypeVar
from urllib.parse import urlsplit

from mcppool.cache.database import Database
from mcppool.cache.store_link import StoreLink
from mcppool.wire.sealing import KeyRing
from mcppool.wire.vault import Vault

T = TypeVar("T")

OPEN_TIMEOUT: Final = 10.0
"""Upper bound in seconds on connecting and creating the tables. No call waits so long for it."""


class SqlLink(StoreLink):
    """The link to a database, which it opens at its first use. `scope` (PREFIX:POOL) separates the answers of pools.

    Failures count as `timeout`, `connection` or `other`.
    """

    def __init__(
        self, database: Database, scope: str, errors: MutableMapping[str, int], ring: KeyRing, *, timeout: float
    ) -> None:
        super().__init__(f"sql\0{scope}".encode(), errors, ring, timeout=timeout)
        self.database = database
        self.scope = scope
        self._opening: asyncio.Task[None] | None = None
        self._open = False

    def name(self, kind: bytes, key: bytes, vault: Vault | None = None) -> bytes:
        """The name of a row, by the first vault if none is given: 32 bytes that do not reveal `key`."""
        return bytes.fromhex((vault or self.vaults.first).name(kind + b"\0" + key))

    def kind_of(self, error: Exception) -> str:
        """The kind under which a failure is counted."""
        return self.database.kind_of(error)

    def open(self) -> asyncio.Task[None]:
        """Begin to open the database, if this has not begun."""
        if self._opening is None:
            self._opening = asyncio.create_task(self._open_first(), name="open the database of the cache")
        return self._opening

    async def attempt(self, operation: Callable[[], Awaitable[T]], timeout: float | None = None) -> T | None:
        """The result of the operation. While the database is being opened for the first time, a call waits no longer
        than for any operation, and that is no failure."""
        if not self._open:
            await asyncio.wait((self.open(),), timeout=self._timeout)
            if not self._open:
                return None
        return await super().attempt(operation, timeout)

    async def check(self) -> None:
        """Open the database anew. Raises the reason if it does not work."""
        await self.database.open()
        self._open = True

    async def disconnect(self) -> None:
        """Close all connections."""
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.wait((self._opening,))
        await self.database.close()

    @property
    def _check_timeout(self) -> float:
        return OPEN_TIMEOUT

    async def _open_first(self) -> None:
        await super().attempt(self.check, OPEN_TIMEOUT)


def database_of(url: str, *, timeout: float, password_file: str | None = None, ca_file: str | None = None) -> Database:
    """The database at `sqlite:///FILE` or `postgresql://…`.

    Raises ImportError if the extra `postgres` is needed and not installed, OSError if the file of the password or of
    the authorities cannot be used; its text names the key of the file.
    """
    parts = urlsplit(url)
    if parts.scheme == "sqlite":
        from mcppool.cache.sqlite import SqliteDatabase  # here: few processes need it

        return SqliteDatabase(parts.path, timeout=timeout)
    from mcppool.cache.postgres import PostgresDatabase

    return PostgresDatabase(url, password_file=password_file, ca_file=ca_file)
