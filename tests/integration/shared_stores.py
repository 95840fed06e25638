"""The stores of answers outside the process, behind one interface for tests: Redis, SQLite and PostgreSQL."""

from __future__ import annotations

import contextlib
import sqlite3
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from pathlib import Path
from time import time
from typing import Any

from mcppool.cache.database import Database
from mcppool.cache.redis import RedisStore
from mcppool.cache.redis_link import RedisLink
from mcppool.cache.sealed_answer import MAX_VALUE
from mcppool.cache.sql import SqlStore
from mcppool.cache.sql_link import SqlLink, database_of
from mcppool.cache.store import CachedAnswer
from mcppool.wire.sealing import Key, KeyRing
from mcppool.wire.vault import Vault
from tests.certificates import ServerCertificate
from tests.integration.cached import Client
from tests.requirements import missing
from tests.servers.postgres_server import PASSWORD, PostgresServer
from tests.servers.redis_server import RedisServer
from tests.waiting import until

Store = RedisStore | SqlStore
Link = RedisLink | SqlLink

RINGS = [KeyRing([Key(name, name.encode() * 32)]) for name in "ab"]
POOL = "mcppool:p"

#: What somebody with write access may put in the place of a value; `text` and `number` are of another type.
SPOILT = ["gone", "empty", "short", "cut", "flipped", "longer", "zeros", "json", "huge", "other", "another type"]


def spoilt(there: bytes, name: bytes, how: str) -> bytes:
    """A value in the place of `there`."""
    return {
        "empty": b"",
        "short": there[:5],
        "cut": there[:-1],
        "flipped": there[:-1] + bytes([there[-1] ^ 1]) if there else b"?",
        "longer": there + b"x",
        "zeros": bytes(len(there)),
        "json": b'["http://evil/mcp","x\\r\\nX-Injected: yes",4e9]',
        "huge": b"x" * (8 * MAX_VALUE),
        "other": Vault(b"x" * 32, b"redis").seal(b"{}", name),
    }[how]


class SharedStore(ABC):
    """One store of answers. Another user can read and write everything in it."""

    kind: str

    @abstractmethod
    def section(self, *, timeout: str = "60s") -> str:
        """The lines of `[cache]`."""

    @abstractmethod
    def link(self, pool: str = POOL, ring: KeyRing = RINGS[0], timeout: float = 60.0) -> Link:
        """A link of one gateway."""

    @abstractmethod
    def store(self, link: Any, now: Callable[[], float] = time) -> Store:
        """The store of one gateway."""

    @abstractmethod
    async def everything(self, link: Any) -> list[tuple[bytes, bytes]]:
        """Names and values."""

    @abstractmethod
    async def spoil(self, link: Any, kind: bytes, name: bytes, how: str) -> None:
        """Change an answer (kind `a`) or a mark (kind `m`)."""

    @abstractmethod
    async def copy(self, link: Any, kind: bytes, name: bytes, to: bytes) -> None:
        """Copy a value to another name."""

    @abstractmethod
    async def expire(self, link: Any, name: bytes, seconds: float) -> None:
        """Change the time at which an answer expires."""

    @abstractmethod
    def pause(self) -> None:
        """From now on operations take for ever."""

    @abstractmethod
    def resume(self) -> None:
        """End of `pause`."""

    async def settled(self, *links: Link) -> None:
        """Wait until everything is written."""
        for link in links:
            await until(lambda link=link: not link.writing, "it is written")  # type: ignore[misc]


class InRedis(SharedStore):
    kind = "redis"

    def __init__(self, server: RedisServer) -> None:
        self.server = server

    def section(self, *, timeout: str = "60s") -> str:
        return f'type = "redis"\nredis_url = "{self.server.address}"\nredis_timeout = "{timeout}"\n'

    def link(self, pool: str = POOL, ring: KeyRing = RINGS[0], timeout: float = 60.0) -> RedisLink:
        return RedisLink(self.server.address, pool, {}, ring, timeout=timeout)

    def store(self, link: RedisLink, now: Callable[[], float] = time) -> RedisStore:
        return RedisStore(link, now)

    async def everything(self, link: RedisLink) -> list[tuple[bytes, bytes]]:
        return [(name, await link.client.dump(name)) async for name in link.client.scan_iter()]

    async def spoil(self, link: RedisLink, kind: bytes, name: bytes, how: str) -> None:
        there = await link.client.get(name) or b""
        life = await link.client.pttl(name)
        await link.client.delete(name)
        if how == "another type":
            await link.client.rpush(name.decode(), "x")  # type: ignore[misc]
        elif how != "gone":
            await link.client.set(name, spoilt(there, name, how), px=life if life > 0 else None)

    async def copy(self, link: RedisLink, kind: bytes, name: bytes, to: bytes) -> None:
        await link.client.copy(name.decode(), to.decode(), replace=True)

    async def expire(self, link: RedisLink, name: bytes, seconds: float) -> None:
        await link.client.expire(name, int(seconds))

    def pause(self) -> None:
        self.server.pause()

    def resume(self) -> None:
        self.server.resume()


TABLES = {b"a": ("mcppool_answers", "value"), b"m": ("mcppool_marks", "mark")}


class InDatabase(SharedStore):
    kind = "sql"
    url = ""
    password_file: str | None = None

    def section(self, *, timeout: str = "60s") -> str:
        password = f'sql_password_file = "{self.password_file}"\n' if self.password_file else ""
        return f'type = "sql"\nsql_url = "{self.url}"\nsql_timeout = "{timeout}"\n{password}'

    def database(self, timeout: float = 60.0) -> Database:
        return database_of(self.url, timeout=timeout, password_file=self.password_file)

    def link(self, pool: str = POOL, ring: KeyRing = RINGS[0], timeout: float = 60.0) -> SqlLink:
        return SqlLink(self.database(timeout), pool, {}, ring, timeout=timeout)

    def store(self, link: SqlLink, now: Callable[[], float] = time) -> SqlStore:
        return SqlStore(link, 1000, 1 << 30, {}, now)

    @abstractmethod
    async def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """Run a statement as another user; `?` stands for a value."""

    async def everything(self, link: SqlLink) -> list[tuple[bytes, bytes]]:
        found = []
        for table in ("mcppool_answers", "mcppool_marks", "mcppool_claims"):
            for row in await self.sql(f"SELECT * FROM {table}"):
                parts = [value if isinstance(value, bytes) else str(value).encode() for value in row]
                found.append((bytes(row[0]), b"\0".join(parts)))
        return found

    async def spoil(self, link: SqlLink, kind: bytes, name: bytes, how: str) -> None:
        table, column = TABLES[kind]
        if how == "gone":
            await self.sql(f"DELETE FROM {table} WHERE name = ?", name)
            return
        ((there,),) = await self.sql(f"SELECT {column} FROM {table} WHERE name = ?", name)
        value = self.of_another_type(there) if how == "another type" else spoilt(there, name, how)
        await self.sql(f"UPDATE {table} SET {column} = ? WHERE name = ?", value, name)

    def of_another_type(self, value: bytes) -> Any:
        """A value of another type, if a column may have one."""
        return value.hex()

    async def copy(self, link: SqlLink, kind: bytes, name: bytes, to: bytes) -> None:
        table, column = TABLES[kind]
        more = "" if kind == b"m" else ", scope, tag, mark, size, used"
        await self.sql(f"DELETE FROM {table} WHERE name = ?", to)
        await self.sql(
            f"INSERT INTO {table} (name, expires, {column}{more}) "
            f"SELECT ?, expires, {column}{more} FROM {table} WHERE name = ?",
            to, name,
        )  # fmt: skip

    async def expire(self, link: SqlLink, name: bytes, seconds: float) -> None:
        await self.sql("UPDATE mcppool_answers SET expires = ? WHERE name = ?", time() + seconds, name)


class InSqlite(InDatabase):
    def __init__(self, folder: Path) -> None:
        self.file = folder / "cache.sqlite3"
        self.url = f"sqlite://{self.file}"
        self._lock: sqlite3.Connection | None = None

    async def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with contextlib.closing(sqlite3.connect(self.file, timeout=30, isolation_level=None)) as connection:
            return connection.execute(statement, values).fetchall()

    def pause(self) -> None:
        """Lock the file as a writer that never ends."""
        self._lock = sqlite3.connect(self.file, timeout=30, isolation_level=None)
        self._lock.execute("BEGIN IMMEDIATE")

    def resume(self) -> None:
        assert self._lock is not None
        self._lock.close()


class InPostgres(InDatabase):
    def __init__(self, server: PostgresServer, folder: Path) -> None:
        try:
            import asyncpg  # noqa: F401
        except ImportError:
            missing("the package asyncpg", "`make install` installs it")
        self.server = server
        self.url = server.address
        password = folder / "password"
        password.write_text(f"{PASSWORD}\n")
        self.password_file = str(password)

    async def sql(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        import asyncpg

        for number in range(len(values)):
            statement = statement.replace("?", f"${number + 1}", 1)
        connection = await asyncpg.connect(self.server.socket_address)
        try:
            return [tuple(row) for row in await connection.fetch(statement, *values)]
        finally:
            await connection.close()

    def of_another_type(self, value: bytes) -> Any:
        return b""

    def pause(self) -> None:
        self.server.pause()

    def resume(self) -> None:
        self.server.resume()


def link_of(client: Client) -> Link:
    """The link of a pool to its store."""
    holder = client.pool.redis or client.pool.sql
    assert holder is not None
    assert holder.link is not None
    return holder.link


@contextlib.contextmanager
def a_postgres(certificate: ServerCertificate | None = None, rules: str = "") -> Iterator[PostgresServer]:
    """A PostgreSQL; its start costs a second."""
    server = PostgresServer(certificate, rules)
    try:
        server.start()
        yield server
    finally:
        server.close()


async def emptied(server: PostgresServer, folder: Path) -> InPostgres:
    """Its database without the tables of an earlier test."""
    database = InPostgres(server, folder)
    await database.sql("DROP TABLE IF EXISTS mcppool_answers, mcppool_marks, mcppool_claims")
    return database


async def fill(store: SqlStore, link: Any, names: list[bytes], *, life: float = 600.0) -> None:
    """Store an answer of 1,000 bytes under each name, one after another."""
    for name in names:
        found = await store.get(name, "t")
        store.put(name, "t", CachedAnswer(b"x" * 1000, life), found.mark)
        await until(lambda: not link.writing, "it is written")
