"""The database of a pool's cache, if its specification uses one."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from mcppool.cache.sql_link import SqlLink, database_of
from mcppool.observe.logs import get_logger
from mcppool.spec import CacheSpec, PoolSpec
from mcppool.wire.sealing import KeyRing

log = get_logger("cache")

FILE: Final = "cache.sqlite3"
"""The file of the cache, if the configuration names no database."""


class PoolSql:
    """The link to the database: None if none could be made; then `trouble` is the cause."""

    def __init__(self, spec: PoolSpec, ring: KeyRing, errors: MutableMapping[str, int]) -> None:
        self._pool = spec.name
        self._broken: str | None = None
        self.link = self._make(spec.cache, ring, errors)
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

    def _make(self, spec: CacheSpec, ring: KeyRing, errors: MutableMapping[str, int]) -> SqlLink | None:
        try:
            url = spec.sql_url or f"sqlite://{default_file(create=True)}"
            database = database_of(
                url, timeout=spec.sql_timeout, password_file=spec.sql_password_file, ca_file=spec.sql_ca_file
            )
        except ImportError:
            self._broken = "the extra `postgres` of mcp-server-pool is not installed"
        except UnicodeDecodeError as error:
            self._broken = f"cache.sql_password_file cannot be read: {error}"
        except OSError as error:
            self._broken = str(error)
        else:
            return SqlLink(database, f"{spec.sql_prefix}:{self._pool}", errors, ring, timeout=spec.sql_timeout)
        return None

    def _report(self, trouble: str | None) -> None:
        if trouble is None:
            log.event("cache_back", pool=self._pool, cache_type="sql")
        else:
            log.warning("cache_away", pool=self._pool, cache_type="sql", cause=trouble)


def default_file(*, create: bool = False) -> Path:
    """The SQLite file of a cache without `sql_url`, in the directory for caches: that of the systemd unit
    (`CacheDirectory`), or the user's. `create` makes the directory. OSError if there is none."""
    given = os.environ.get("CACHE_DIRECTORY", "").split(":")[0]
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    try:
        folder = Path(given) if given else Path(home).expanduser() / "mcppool"
    except RuntimeError as error:  # a user without a home
        raise OSError(f"there is no folder for the cache: {error}; set cache.sql_url") from error
    if create:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder.absolute() / FILE


def make_sql(spec: PoolSpec, ring: KeyRing, errors: MutableMapping[str, int]) -> PoolSql | None:
    """The database of a pool's cache; None if it uses none. Values there are sealed with `ring`; `errors` counts faults
    by kind."""
    return PoolSql(spec, ring, errors) if spec.cache.type == "sql" else None


def sql_key(spec: PoolSpec) -> tuple[object, ...]:
    """The settings of a pool's database: two specifications with the same key share the link. Empty if it uses none."""
    cache = spec.cache
    if cache.type != "sql":
        return ()
    return cache.sql_url, cache.sql_prefix, cache.sql_timeout, cache.sql_password_file, cache.sql_ca_file
