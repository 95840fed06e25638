"""The database of a pool's cache, if its specification uses one."""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from pathlib import Path
from typing import Final

from mcppool.cache.database_tls import VARIABLES
from mcppool.cache.sql_link import SqlLink, database_of
from mcppool.observe.logs import get_logger
from mcppool.pipeline.pool_store import PoolStore
from mcppool.spec import CacheSpec, PoolSpec
from mcppool.tls_files import UnusableTlsFile
from mcppool.wire.sealing import KeyRing

log = get_logger("cache")

FILE: Final = "cache.sqlite3"
"""The file of the cache, if the configuration names no database."""


class PoolSql(PoolStore[SqlLink]):
    """The database of the cache of a pool."""

    def __init__(self, spec: PoolSpec, ring: KeyRing, errors: MutableMapping[str, int]) -> None:
        super().__init__(spec.name, "postgres", lambda: _link(spec.name, spec.cache, ring, errors))

    def _report(self, trouble: str | None) -> None:
        if trouble is None:
            log.event("cache_back", pool=self._pool, cache_type="sql")
        else:
            log.warning("cache_away", pool=self._pool, cache_type="sql", cause=trouble)


def _link(pool: str, spec: CacheSpec, ring: KeyRing, errors: MutableMapping[str, int]) -> SqlLink:
    url = spec.sql_url or f"sqlite://{default_file(create=True)}"
    try:
        database = database_of(
            url, timeout=spec.sql_timeout, password_file=spec.sql_password_file, ca_file=spec.sql_ca_file
        )
    except UnusableTlsFile as error:
        key = error.key if error.key in VARIABLES else f"cache.{error.key}"
        raise OSError(f"{key} cannot be used: {error}") from None
    return SqlLink(database, f"{spec.sql_prefix}:{pool}", errors, ring, timeout=spec.sql_timeout)


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
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:  # a home that is read-only, or is not there
            raise OSError(f"the folder {folder} cannot be made: {error.strerror}; set cache.sql_url") from error
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
