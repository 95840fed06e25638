"""The cache's tables in an SQLite file, for the processes of one machine.

One thread reads and one writes: with a write-ahead log, no reader waits for a writer. A cache may lose its last writes
with the machine, so no write waits for the disk.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from time import monotonic, sleep, time
from typing import Any, Final, TypeVar

from mcppool.cache.database import ENTRY_BYTES, REMOVED_AT_ONCE, Found, NewRow, Rows, other_tables
from mcppool.cache.sealed_answer import MARK, MARK_LIFE, MAX_VALUE

T = TypeVar("T")

OLDEST: Final = (3, 35, 0)
"""The oldest version of SQLite with all that is used here."""

WAL_BYTES: Final = 16 << 20
"""Size to which the write-ahead log is cut after it has grown."""

OPEN_PATIENCE: Final = 5.0
"""Upper bound in seconds on the wait for other processes that open the file. No call waits for it."""

FREE_PAGES: Final = 1000
"""Upper bound on free pages that one sweep gives back to the file system."""

_PRAGMAS: Final = (
    "PRAGMA auto_vacuum = INCREMENTAL",  # of a new file; the next statement writes its first page
    "PRAGMA journal_mode = WAL",
    "PRAGMA synchronous = NORMAL",
    f"PRAGMA journal_size_limit = {WAL_BYTES}",
)
_TABLES: Final = """
CREATE TABLE IF NOT EXISTS mcppool_answers (
  name BLOB PRIMARY KEY, scope TEXT NOT NULL, tag BLOB NOT NULL, mark BLOB NOT NULL, size INTEGER NOT NULL,
  expires REAL NOT NULL, used REAL NOT NULL, value BLOB NOT NULL
);
CREATE INDEX IF NOT EXISTS mcppool_answers_used ON mcppool_answers (scope, used, size);
CREATE INDEX IF NOT EXISTS mcppool_answers_expires ON mcppool_answers (expires);
CREATE INDEX IF NOT EXISTS mcppool_answers_tag ON mcppool_answers (tag);
CREATE TABLE IF NOT EXISTS mcppool_marks (name BLOB PRIMARY KEY, mark BLOB NOT NULL, expires REAL NOT NULL);
CREATE TABLE IF NOT EXISTS mcppool_claims (name BLOB PRIMARY KEY, owner BLOB NOT NULL, until REAL NOT NULL);
"""

_COLUMNS: Final = {
    "mcppool_answers": "name, scope, tag, mark, size, expires, used, value",
    "mcppool_marks": "name, mark, expires",
    "mcppool_claims": "name, owner, until",
}

_creating = Lock()
"""Of all databases of this process: none connects to a file that another one has created and not yet closed."""


def _list(values: Sequence[object]) -> str:
    return ", ".join("?" * len(values))


def _create(path: str) -> None:
    """Create the file for us alone, if it does not exist: the answers belong to clients.

    An existing file is not opened here: closing it would give back the locks that all connections of this process have
    on it (POSIX). Another process would then take itself for the last one that uses the file, and remove its log.
    """
    with _creating, contextlib.suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))


class SqliteDatabase:
    """The tables in one file. `timeout` bounds the seconds that a write waits for a writer of another process."""

    def __init__(self, path: str, *, timeout: float) -> None:
        if sqlite3.sqlite_version_info < OLDEST:
            needed = ".".join(map(str, OLDEST))
            raise OSError(f"SQLite {sqlite3.sqlite_version} is too old; the cache needs {needed}")
        self._path = path
        self._timeout = timeout
        self._reader, self._writer = (ThreadPoolExecutor(1, f"sqlite {name}") for name in ("reader", "writer"))
        self._reading: sqlite3.Connection | None = None
        self._writing: sqlite3.Connection | None = None
        self._file: os.stat_result | None = None

    async def open(self) -> None:
        """Open the file, and create it and the tables that are missing."""
        await self._run(self._writer, self._open_writer)
        await self._run(self._reader, self._open_reader)

    async def read(
        self, answers: Sequence[bytes], marks: Sequence[bytes]
    ) -> tuple[dict[bytes, Found], dict[bytes, bytes]]:
        """The answers and the marks that are there under these names."""
        return await self._run(self._reader, self._read, answers, marks)

    async def write(self, row: NewRow) -> None:
        """Store an answer in place of any other of that name."""
        now = time()
        size = len(row.value) + ENTRY_BYTES
        await self._execute(
            "INSERT INTO mcppool_answers (name, scope, tag, mark, size, expires, used, value) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (name) DO UPDATE SET scope = excluded.scope, "
            "tag = excluded.tag, mark = excluded.mark, size = excluded.size, expires = excluded.expires, "
            "used = excluded.used, value = excluded.value",
            (row.name, row.scope, row.tag, row.mark, size, now + row.life, now, row.value),
        )

    async def set_marks(self, marks: Sequence[tuple[bytes, bytes]]) -> None:
        """Set marks by name."""
        expires = time() + MARK_LIFE
        await self._run(self._writer, self._set_marks, [(name, mark, expires) for name, mark in marks])

    async def make_mark(self, name: bytes, mark: bytes) -> None:
        """Set a mark if there is none."""
        now = time()
        await self._execute(
            "INSERT INTO mcppool_marks (name, mark, expires) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
            "SET mark = excluded.mark, expires = excluded.expires "
            "WHERE typeof(mark) <> 'blob' OR length(mark) <> ? OR typeof(expires) <> 'real' OR expires <= ?",
            (name, mark, now + MARK_LIFE, MARK, now),
        )

    async def touch(self, names: Sequence[bytes]) -> None:
        """Note that these answers are in use."""
        # Only names are inserted into the text of statements, and no values.
        await self._execute(f"UPDATE mcppool_answers SET used = ? WHERE name IN ({_list(names)})", (time(), *names))  # noqa: S608

    async def claim(self, name: bytes, owner: bytes, seconds: float) -> bool:
        """Take a claim for so long; returns whether it was free."""
        now = time()
        taken = await self._execute(
            "INSERT INTO mcppool_claims (name, owner, until) VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE "
            "SET owner = excluded.owner, until = excluded.until WHERE until <= ? OR typeof(until) <> 'real' "
            "OR until > ? RETURNING 1",
            (name, owner, now + seconds, now, now + 2 * seconds),
        )
        return bool(taken)

    async def release(self, name: bytes, owner: bytes) -> None:
        """Give a claim back, if this owner still has it."""
        await self._execute("DELETE FROM mcppool_claims WHERE name = ? AND owner = ?", (name, owner))

    async def remove_expired(self) -> int:
        """Remove a number of expired rows."""
        now = time()
        for table, column in (("mcppool_marks", "expires"), ("mcppool_claims", "until")):
            await self._execute(
                f"DELETE FROM {table} WHERE name IN (SELECT name FROM {table} WHERE {column} <= ? LIMIT ?)",  # noqa: S608
                (now, REMOVED_AT_ONCE),
            )
        gone = await self._execute(
            "DELETE FROM mcppool_answers WHERE name IN "
            "(SELECT name FROM mcppool_answers WHERE expires <= ? LIMIT ?) RETURNING 1",
            (now, REMOVED_AT_ONCE),
        )
        await self._execute(f"PRAGMA incremental_vacuum({FREE_PAGES})")
        return len(gone)

    async def remove_invalidated(self, tags: Sequence[bytes]) -> int:
        """Remove a number of answers of these tags that were stored under an earlier mark."""
        statement = (
            "DELETE FROM mcppool_answers WHERE name IN (SELECT a.name FROM mcppool_answers a JOIN mcppool_marks m "  # noqa: S608
            f"ON m.name = a.tag WHERE a.tag IN ({_list(tags)}) AND substr(a.mark, 1, ?) <> m.mark LIMIT ?) RETURNING 1"
        )
        gone = await self._execute(statement, (*tags, MARK, REMOVED_AT_ONCE))
        return len(gone)

    async def rows(self, scope: str) -> Rows:
        """The answers of a scope."""
        ((count, size),) = await self._run(
            self._reader,
            lambda: self._in(self._reading).execute(
                "SELECT count(*), coalesce(sum(size), 0) FROM mcppool_answers WHERE scope = ?", (scope,)
            ).fetchall(),
        )  # fmt: skip
        return Rows(int(count), int(size))

    async def remove_oldest(self, scope: str, count: int) -> Rows:
        """Remove so many answers of a scope that were not used for the longest time."""
        gone = await self._execute(
            "DELETE FROM mcppool_answers WHERE name IN "
            "(SELECT name FROM mcppool_answers WHERE scope = ? ORDER BY used LIMIT ?) RETURNING size",
            (scope, min(count, REMOVED_AT_ONCE)),
        )
        return Rows(len(gone), sum(size for (size,) in gone))

    def kind_of(self, error: Exception) -> str:
        """The kind under which a failure is counted."""
        if isinstance(error, TimeoutError) or "locked" in str(error):
            return "timeout"
        return "connection" if isinstance(error, sqlite3.OperationalError | OSError) else "other"

    async def close(self) -> None:
        """Close the file; a statement that still runs is interrupted."""
        for connection in (self._reading, self._writing):
            if connection is not None:
                connection.interrupt()
        await asyncio.to_thread(self._close)

    # --- in the threads -------------------------------------------------------------------------------------------

    def _open_writer(self) -> None:
        if self._writing is not None:
            self._writing.close()
        _create(self._path)
        self._file = os.stat(self._path)
        self._writing = self._connect()
        until = monotonic() + OPEN_PATIENCE
        while True:
            try:
                for pragma in _PRAGMAS:
                    self._writing.execute(pragma)
                self._writing.executescript(_TABLES)
                self._try_out(self._writing)
            except sqlite3.OperationalError as error:  # another process makes the same file at this moment
                if "locked" not in str(error) or monotonic() > until:
                    raise
                sleep(0.01)
            else:
                return

    @staticmethod
    def _try_out(connection: sqlite3.Connection) -> None:
        """Write a row into each table, and take it back. Raises the reason if a table is of another version, or may not
        be written to."""
        connection.execute("BEGIN IMMEDIATE")
        try:
            for table, columns in _COLUMNS.items():
                text = f"INSERT INTO {table} ({columns}) VALUES ({_list(columns.split())})"  # noqa: S608 (our own names)
                connection.execute(text, (os.urandom(32), *[b""] * (len(columns.split()) - 1)))
        except sqlite3.OperationalError as error:
            if "no column" in str(error):
                raise OSError(other_tables(error)) from error
            raise
        finally:
            connection.rollback()

    def _open_reader(self) -> None:
        if self._reading is not None:
            self._reading.close()
        self._reading = self._connect()
        self._reading.execute("SELECT count(*) FROM mcppool_marks")

    def _connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self._path, timeout=self._timeout, isolation_level=None, check_same_thread=False)

    def _read(self, answers: Sequence[bytes], marks: Sequence[bytes]) -> tuple[dict[bytes, Found], dict[bytes, bytes]]:
        now = time()
        connection = self._in(self._reading)
        found = connection.execute(
            "SELECT name, substr(value, 1, ?), expires, used FROM mcppool_answers "  # noqa: S608
            f"WHERE name IN ({_list(answers)}) AND expires > ?",
            (MAX_VALUE + 1, *answers, now),
        ).fetchall()
        there = connection.execute(
            f"SELECT name, substr(mark, 1, ?) FROM mcppool_marks WHERE name IN ({_list(marks)}) AND expires > ?",  # noqa: S608
            (MARK + 1, *marks, now),
        ).fetchall()
        # A column of SQLite may hold a value of any type.
        return (
            {
                name: Found(value, expires - now, now - used)
                for name, value, expires, used in found
                if isinstance(value, bytes) and isinstance(expires, float) and isinstance(used, float)
            },
            {name: mark for name, mark in there if isinstance(mark, bytes)},
        )

    def _set_marks(self, rows: Sequence[tuple[bytes, bytes, float]]) -> None:
        connection = self._in(self._writing)
        with connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.executemany(
                "INSERT INTO mcppool_marks (name, mark, expires) VALUES (?, ?, ?) "
                "ON CONFLICT (name) DO UPDATE SET mark = excluded.mark, expires = excluded.expires",
                rows,
            )

    def _close(self) -> None:
        for executor, connection in ((self._reader, self._reading), (self._writer, self._writing)):
            if connection is not None:
                executor.submit(connection.close)
            executor.shutdown()

    def _in(self, connection: sqlite3.Connection | None) -> sqlite3.Connection:
        """The connection. Raises FileNotFoundError if its file is no longer the one at the path, which other processes
        use: this one would not learn of their invalidations."""
        assert connection is not None, "the file was opened first"
        assert self._file is not None, "the file was opened first"
        try:
            same = os.path.samestat(os.stat(self._path), self._file)
        except FileNotFoundError:
            same = False
        if not same:
            raise FileNotFoundError(f"{self._path} was removed or replaced")
        return connection

    async def _execute(self, statement: str, values: Sequence[object] = ()) -> list[Any]:
        """Run one statement of the writer; returns its rows."""

        def run() -> list[Any]:
            return self._in(self._writing).execute(statement, tuple(values)).fetchall()

        return await self._run(self._writer, run)

    async def _run(self, executor: ThreadPoolExecutor, function: Callable[..., T], *arguments: Any) -> T:
        return await asyncio.get_running_loop().run_in_executor(executor, function, *arguments)
