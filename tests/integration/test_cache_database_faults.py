"""What a database does to its cache: removed, locked, hanging, or short of connections; and what is said of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from mcppool.cache import postgres
from tests.integration.shared_stores import InPostgres, InSqlite, a_postgres, emptied, fill
from tests.servers import free_port
from tests.servers.postgres_server import PostgresServer
from tests.waiting import until


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PostgresServer]:
    with a_postgres() as server:
        yield server


@pytest.fixture
async def database(postgres_server: PostgresServer, tmp_path: Path) -> InPostgres:
    """An empty database of PostgreSQL."""
    return await emptied(postgres_server, tmp_path)


async def test_a_file_that_was_removed_is_made_again_and_not_used_without_a_name(tmp_path: Path) -> None:
    shared = InSqlite(tmp_path)
    link = shared.link()
    store = shared.store(link)
    await fill(store, link, [b"k"])
    reported: list[str | None] = []
    link.reports.append(reported.append)
    shared.file.unlink()
    assert (await store.get(b"k", "t")).kept is None
    await until(lambda: reported[-1:] == [None], "there is a new file")
    assert "was removed or replaced" in (reported[0] or "")
    await fill(store, link, [b"new"])
    assert [bytes(name) for (name,) in await shared.sql("SELECT name FROM mcppool_answers")] == [
        link.name(b"a", b"new")
    ]
    await link.close()


async def test_a_gateway_makes_do_with_the_connections_that_the_database_gives_it(
    database: InPostgres, postgres_server: PostgresServer
) -> None:
    await database.sql("CREATE ROLE few LOGIN CONNECTION LIMIT 2")
    await database.sql("GRANT ALL ON SCHEMA public TO few")
    database.url, database.password_file = postgres_server.socket_address.replace("mcppool@", "few@", 1), None
    link = database.link()
    try:
        await link.check()
        names = [b"%d" % number for number in range(20)]
        store = database.store(link)
        found = await asyncio.gather(*(store.get(name, "t") for name in names))
        assert all(isinstance(one.mark, bytes) for one in found)
        assert (link.trouble, link.errors) == (None, {})
    finally:
        await link.close()
        await until_gone(database, "few")
        await database.sql("DROP OWNED BY few")
        await database.sql("DROP ROLE few")


async def until_gone(database: InPostgres, user: str) -> None:
    """Wait until the database has ended the connections of a user."""
    async with asyncio.timeout(60):
        while await database.sql("SELECT 1 FROM pg_stat_activity WHERE usename = ?", user):
            await asyncio.sleep(0.01)


async def test_a_check_of_a_database_that_hangs_inside_it_ends_with_its_time(
    database: InPostgres, postgres_server: PostgresServer
) -> None:
    import asyncpg

    link = database.link()
    await link.check()
    other = await asyncpg.connect(postgres_server.socket_address)
    try:
        await other.execute("BEGIN; LOCK TABLE mcppool_answers IN ACCESS EXCLUSIVE MODE")
        check = asyncio.create_task(link.check())
        async with asyncio.timeout(60):
            while not await other.fetch("SELECT 1 FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
        postgres_server.pause()
        check.cancel()
        await asyncio.wait((check,), timeout=20)
        assert check.done()
    finally:
        postgres_server.resume()
        check.cancel()
        other.terminate()
        await link.close()


async def test_a_lock_that_lasts_is_named_and_leaves_nothing_at_the_database(
    database: InPostgres, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    import asyncpg

    monkeypatch.setattr(postgres, "LOCK_TIMEOUT", 0.1)
    link = database.link()
    await link.check()
    other = await asyncpg.connect(postgres_server.socket_address)
    try:
        await other.execute("BEGIN; LOCK TABLE mcppool_answers IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(OSError, match="a transaction has held a lock on a table of the cache"):
            await link.check()
        async with asyncio.timeout(60):
            while await other.fetch("SELECT 1 FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
    finally:
        await other.close()
        await link.close()


@pytest.mark.parametrize("socket", [False, True])
async def test_a_database_that_is_not_there_is_named_in_words(database: InPostgres, socket: bool) -> None:
    port = free_port()
    where = f"%2Fnowhere:{port}" if socket else f"127.0.0.1:{port}"
    database.url = f"postgresql://mcppool@{where}/postgres"
    link = database.link()
    assert (await database.store(link).get(b"k", "t")).mark is None
    why = "no such file or directory" if socket else "connection refused"
    assert link.trouble == f"the database at {where.replace('%2F', '/')} cannot be reached: {why}"
    assert link.errors == {"connection": 1}
    await link.close()


async def test_the_reason_of_a_database_is_one_line(database: InPostgres) -> None:
    link = database.link()

    async def fail() -> None:
        raise ValueError("a file is full\nHINT:  Check\tfree disk space.")

    await link.check()
    assert await link.attempt(fail) is None
    assert link.trouble == "a file is full HINT: Check free disk space."
    await link.close()
