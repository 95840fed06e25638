"""The cache's tables in PostgreSQL, for all gateways.

The tables are unlogged: a cache need not survive a crash of the server, and its writes then cost no log.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import AsyncIterator, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote, urlsplit

from mcppool.cache.database import ENTRY_BYTES, REMOVED_AT_ONCE, TABLES, Found, NewRow, Rows, other_tables
from mcppool.cache.database_tls import DatabaseTls
from mcppool.cache.password_file import read_password
from mcppool.cache.sealed_answer import MARK, MARK_LIFE, MAX_VALUE

if TYPE_CHECKING:
    from asyncpg import Connection

MAX_CONNECTIONS: Final = 8
"""Upper bound on connections of one pool of one process."""

LOCK_TIMEOUT: Final = 5.0
"""Seconds for which a check waits for a lock. The server ends the wait: it would not see that the gateway is gone."""

_LOCK: Final = 0x6D63_7070_6F6F_6C  # of the creation of the tables, which two gateways cannot do at once

_TABLES: Final = """
CREATE UNLOGGED TABLE IF NOT EXISTS mcppool_answers (
  name bytea PRIMARY KEY, scope text NOT NULL, tag bytea NOT NULL, mark bytea NOT NULL, size bigint NOT NULL,
  expires double precision NOT NULL, used double precision NOT NULL, value bytea NOT NULL
);
ALTER TABLE mcppool_answers ALTER COLUMN value SET STORAGE EXTERNAL;
CREATE INDEX IF NOT EXISTS mcppool_answers_used ON mcppool_answers (scope, used) INCLUDE (size);
CREATE INDEX IF NOT EXISTS mcppool_answers_expires ON mcppool_answers (expires);
CREATE INDEX IF NOT EXISTS mcppool_answers_tag ON mcppool_answers (tag);
CREATE UNLOGGED TABLE IF NOT EXISTS mcppool_marks (
  name bytea PRIMARY KEY, mark bytea NOT NULL, expires double precision NOT NULL
);
CREATE UNLOGGED TABLE IF NOT EXISTS mcppool_claims (
  name bytea PRIMARY KEY, owner bytea NOT NULL, until double precision NOT NULL
);
"""
_ARE_THERE: Final = "SELECT bool_and(to_regclass(name) IS NOT NULL) FROM unnest($1::text[]) AS wanted (name)"
_NOW: Final = "extract(epoch FROM clock_timestamp())::float8"
_READ: Final = f"""
SELECT 0, name, substring(value FROM 1 FOR {MAX_VALUE + 1}), expires - {_NOW}, {_NOW} - used FROM mcppool_answers
WHERE name = ANY($1::bytea[]) AND expires > {_NOW}
UNION ALL
SELECT 1, name, substring(mark FROM 1 FOR {MARK + 1}), 0, 0 FROM mcppool_marks
WHERE name = ANY($2::bytea[]) AND expires > {_NOW}
"""  # noqa: S608
_WRITE: Final = f"""
INSERT INTO mcppool_answers (name, scope, tag, mark, size, expires, used, value)
VALUES ($1, $2, $3, $4, $5, {_NOW} + $6, {_NOW}, $7)
ON CONFLICT (name) DO UPDATE SET scope = excluded.scope, tag = excluded.tag, mark = excluded.mark,
size = excluded.size, expires = excluded.expires, used = excluded.used, value = excluded.value
"""  # noqa: S608
_SET_MARKS: Final = f"""
INSERT INTO mcppool_marks (name, mark, expires)
SELECT name, mark, {_NOW} + {MARK_LIFE} FROM unnest($1::bytea[], $2::bytea[]) AS new (name, mark) ORDER BY name
ON CONFLICT (name) DO UPDATE SET mark = excluded.mark, expires = excluded.expires
"""  # noqa: S608
_MAKE_MARK: Final = f"""
INSERT INTO mcppool_marks AS old (name, mark, expires) VALUES ($1, $2, {_NOW} + {MARK_LIFE})
ON CONFLICT (name) DO UPDATE SET mark = excluded.mark, expires = excluded.expires
WHERE octet_length(old.mark) <> {MARK} OR NOT old.expires > {_NOW}
"""  # noqa: S608
# Rows that another gateway changes at this moment are left out: no two gateways wait for each other.
_TOUCH: Final = f"""
UPDATE mcppool_answers SET used = {_NOW} WHERE name IN
(SELECT name FROM mcppool_answers WHERE name = ANY($1::bytea[]) FOR UPDATE SKIP LOCKED)
"""  # noqa: S608
_CLAIM: Final = f"""
INSERT INTO mcppool_claims AS old (name, owner, until) VALUES ($1, $2, {_NOW} + $3::float8)
ON CONFLICT (name) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE NOT (old.until > {_NOW} AND old.until < {_NOW} + 2 * $3::float8) RETURNING 1
"""  # noqa: S608
_RELEASE: Final = "DELETE FROM mcppool_claims WHERE name = $1 AND owner = $2"
_EXPIRED: Final = f"""
DELETE FROM {{0}} WHERE name IN
(SELECT name FROM {{0}} WHERE {{1}} <= {_NOW} LIMIT {REMOVED_AT_ONCE} FOR UPDATE SKIP LOCKED) RETURNING 1
"""  # noqa: S608
_INVALIDATED: Final = f"""
DELETE FROM mcppool_answers WHERE name IN
(SELECT a.name FROM mcppool_answers a JOIN mcppool_marks m ON m.name = a.tag
WHERE a.tag = ANY($1::bytea[]) AND substring(a.mark FROM 1 FOR {MARK}) <> m.mark
LIMIT {REMOVED_AT_ONCE} FOR UPDATE OF a SKIP LOCKED) RETURNING 1
"""  # noqa: S608
_ROWS: Final = "SELECT count(*), coalesce(sum(size), 0)::bigint FROM mcppool_answers WHERE scope = $1"
_OLDEST: Final = """
DELETE FROM mcppool_answers WHERE name IN
(SELECT name FROM mcppool_answers WHERE scope = $1 ORDER BY used LIMIT $2 FOR UPDATE SKIP LOCKED) RETURNING size
"""


class PostgresDatabase:
    """The tables in the database at `url`. Raises ImportError if the extra `postgres` is not installed, OSError if the
    file of the password or of the authorities cannot be used; its text names the key of the file."""

    def __init__(self, url: str, *, password_file: str | None = None, ca_file: str | None = None) -> None:
        import asyncpg  # here, because it is an extra and costs memory

        self._asyncpg = asyncpg
        self._url = url
        self._password = read_password("sql_password_file", password_file) if password_file is not None else None
        self._tls = DatabaseTls(url, ca_file)
        # Idle connections on top of places without one.
        self._places: asyncio.LifoQueue[Connection | None] = asyncio.LifoQueue()
        self._places_there = 0
        self._connected = 0
        self._add_places()
        self._closed = False

    async def open(self) -> None:
        """Connect, and create the tables that are missing."""
        self._close_idle()  # from before the fault
        self._add_places()
        async with self._connection() as connection:
            if not await connection.fetchval(_ARE_THERE, list(TABLES)):
                async with connection.transaction():
                    await connection.execute(f"SELECT pg_advisory_xact_lock({_LOCK})")
                    await connection.execute(_TABLES)
            await self._try_out(connection)

    async def read(
        self, answers: Sequence[bytes], marks: Sequence[bytes]
    ) -> tuple[dict[bytes, Found], dict[bytes, bytes]]:
        """The answers and the marks that are there under these names."""
        found: dict[bytes, Found] = {}
        there: dict[bytes, bytes] = {}
        for kind, name, value, left, idle in await self._fetch(_READ, answers, marks):
            if kind:
                there[name] = value
            else:
                found[name] = Found(value, left, idle)
        return found, there

    async def write(self, row: NewRow) -> None:
        """Store an answer in place of any other of that name."""
        size = len(row.value) + ENTRY_BYTES
        await self._fetch(_WRITE, row.name, row.scope, row.tag, row.mark, size, row.life, row.value)

    async def set_marks(self, marks: Sequence[tuple[bytes, bytes]]) -> None:
        """Set marks by name."""
        await self._fetch(_SET_MARKS, [name for name, _ in marks], [mark for _, mark in marks])

    async def make_mark(self, name: bytes, mark: bytes) -> None:
        """Set a mark if there is none."""
        await self._fetch(_MAKE_MARK, name, mark)

    async def touch(self, names: Sequence[bytes]) -> None:
        """Note that these answers are in use."""
        await self._fetch(_TOUCH, names)

    async def claim(self, name: bytes, owner: bytes, seconds: float) -> bool:
        """Take a claim for so long; returns whether it was free."""
        return bool(await self._fetch(_CLAIM, name, owner, seconds))

    async def release(self, name: bytes, owner: bytes) -> None:
        """Give a claim back, if this owner still has it."""
        await self._fetch(_RELEASE, name, owner)

    async def remove_expired(self) -> int:
        """Remove a number of expired rows."""
        for table, column in (("mcppool_marks", "expires"), ("mcppool_claims", "until")):
            await self._fetch(_EXPIRED.format(table, column))
        return len(await self._fetch(_EXPIRED.format("mcppool_answers", "expires")))

    async def remove_invalidated(self, tags: Sequence[bytes]) -> int:
        """Remove a number of answers of these tags that were stored under an earlier mark."""
        return len(await self._fetch(_INVALIDATED, tags))

    async def rows(self, scope: str) -> Rows:
        """The answers of a scope."""
        ((count, size),) = await self._fetch(_ROWS, scope)
        return Rows(count, size)

    async def remove_oldest(self, scope: str, count: int) -> Rows:
        """Remove so many answers of a scope that were not used for the longest time."""
        gone = await self._fetch(_OLDEST, scope, min(count, REMOVED_AT_ONCE))
        return Rows(len(gone), sum(row[0] for row in gone))

    def kind_of(self, error: Exception) -> str:
        """The kind under which a failure is counted."""
        library = self._asyncpg
        if isinstance(error, TimeoutError | library.QueryCanceledError):
            return "timeout"
        # The third is what a server that stops or starts says.
        gone = (OSError, library.PostgresConnectionError, library.OperatorInterventionError, library.InterfaceError)
        return "connection" if isinstance(error, gone) else "other"

    async def close(self) -> None:
        """Close all connections."""
        self._closed = True
        self._close_idle()

    async def _try_out(self, connection: Connection) -> None:
        """Write a row into each table, and take it back. Raises the reason if a table is of another version, or may not
        be written to."""
        name = os.urandom(32)
        # Only success is rolled back. After a fault the connection is cut, because a rollback waits for a server that
        # may hang.
        attempt = connection.transaction()
        await attempt.start()
        try:
            await connection.execute(f"SET LOCAL lock_timeout = {LOCK_TIMEOUT * 1000:.0f}")
            await connection.execute(_WRITE, name, "", name, name, 0, 0.0, name)
            await connection.execute(_MAKE_MARK, name, name)
            await connection.execute(_CLAIM, name, name, 0.0)
        except (self._asyncpg.UndefinedColumnError, self._asyncpg.DatatypeMismatchError) as error:
            raise OSError(other_tables(error)) from error
        except self._asyncpg.LockNotAvailableError as error:
            raise OSError(
                f"a transaction has held a lock on a table of the cache for {LOCK_TIMEOUT:g} s (pg_locks shows which)"
            ) from error
        await attempt.rollback()

    async def _fetch(self, query: str, *values: object) -> list[Any]:
        async with self._connection() as connection:
            rows: list[Any] = await connection.fetch(query, *values)
            return rows

    @contextlib.asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        """A connection for one operation. After a fault or a cancellation its state is unknown, and it is cut: nothing
        waits for a server that may hang."""
        connection = await self._take()
        try:
            yield connection
        except BaseException:
            self._cut(connection)
            raise
        if self._closed:
            self._cut(connection)
        else:
            self._places.put_nowait(connection)

    def _cut(self, connection: Connection) -> None:
        connection.terminate()
        self._connected -= 1
        self._places.put_nowait(None)

    async def _take(self) -> Connection:
        """An idle connection or a new one. If the server refuses one more, the operation waits for one that is there,
        and there are fewer places until the next check."""
        while True:
            place = await self._places.get()
            if place is not None:
                if not place.is_closed():
                    return place
                self._connected -= 1
            try:
                connection = await self._connect()
            except BaseException as error:
                if isinstance(error, self._asyncpg.TooManyConnectionsError) and self._connected:
                    self._places_there -= 1
                    continue
                self._places.put_nowait(None)
                raise
            self._connected += 1
            return connection

    def _add_places(self) -> None:
        while self._places_there < MAX_CONNECTIONS:
            self._places_there += 1
            self._places.put_nowait(None)

    def _close_idle(self) -> None:
        places = [self._places.get_nowait() for _ in range(self._places.qsize())]
        for place in places:
            if place is not None:
                self._cut(place)
            else:
                self._places.put_nowait(None)

    async def _connect(self) -> Connection:
        try:
            return await self._asyncpg.connect(self._url, password=self._password, ssl=self._tls.context)
        except TimeoutError:
            raise
        except (OSError, self._asyncpg.InvalidAuthorizationSpecificationError) as error:
            if (why := self._tls.explained(error)) is not None:
                raise ConnectionError(why) from error
            if isinstance(error, OSError):
                raise ConnectionError(_unreachable(self._url, error)) from error
            raise


def _unreachable(url: str, error: OSError) -> str:
    host = unquote(urlsplit(url).netloc.rpartition("@")[2])
    # The event loop's own text has a number and an address.
    number = error.errno or 0
    why = os.strerror(number).lower() if number in errno.errorcode else error.strerror or str(error)
    return f"the database at {host} cannot be reached: {why}"
