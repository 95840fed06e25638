"""The cache in a database: bounded, one call for all gateways, and without harm if the database cannot be used."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mcppool.cache import sql
from mcppool.cache.database import TABLES
from mcppool.cache.sql import SqlStore
from mcppool.cache.sqlite import SqliteDatabase
from mcppool.pipeline.caching import shared_flights
from mcppool.pipeline.sql import default_file
from tests.integration.cached import HintServer, caching_pool
from tests.integration.shared_stores import InDatabase, InPostgres, InSqlite, a_postgres, emptied, fill, link_of
from tests.servers.faults import gated
from tests.servers.postgres_server import PASSWORD, PostgresServer
from tests.waiting import until

READ_CACHED = '[pools.tools.read]\ncache_ttl = "1m"\n'


@pytest.fixture(scope="module")
def postgres_server() -> Iterator[PostgresServer]:
    with a_postgres() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgres"])
async def shared(request: pytest.FixtureRequest, tmp_path: Path) -> InDatabase:
    """An empty database of each kind."""
    if request.param == "sqlite":
        return InSqlite(tmp_path)
    return await emptied(request.getfixturevalue("postgres_server"), tmp_path)


@pytest.fixture
async def database(postgres_server: PostgresServer, tmp_path: Path) -> InPostgres:
    """An empty database of PostgreSQL."""
    return await emptied(postgres_server, tmp_path)


async def removal(store: SqlStore, link: Any) -> None:
    """One removal in the background."""
    store.configure(store._max_size, store._max_bytes)  # due at once
    store.sweep(0.0)
    await until(lambda: not link.writing, "it has ended")


@pytest.mark.parametrize(("size", "bytes", "reason"), [(4, 1 << 30, "size"), (1000, 6000, "bytes")])
async def test_the_database_keeps_no_more_than_its_bounds_and_first_loses_what_is_not_used(
    shared: InDatabase, monkeypatch: pytest.MonkeyPatch, size: int, bytes: int, reason: str
) -> None:
    monkeypatch.setattr(sql, "TOUCH_AFTER", 0.0)
    link = shared.link()
    evictions: dict[str, int] = {}
    store = SqlStore(link, size, bytes, evictions)
    names = [b"%d" % number for number in range(10)]
    await fill(store, link, names)
    assert (await store.get(names[0], "t")).kept is not None, "it is in use"
    await removal(store, link)
    assert 1 <= len(store) <= size
    assert store.size <= bytes
    assert evictions == {reason: 10 - len(store)}
    left = [name for name in names if (await store.get(name, "t")).kept is not None]
    assert left == [names[0], *names[10 - len(store) + 1 :]]
    assert await shared.sql("SELECT count(*) FROM mcppool_answers") == [(len(store),)]
    await link.close()


async def test_another_pool_in_the_same_database_keeps_its_answers(shared: InDatabase) -> None:
    ours, theirs = shared.link("mcppool:ours"), shared.link("mcppool:theirs")
    small, other = SqlStore(ours, 1, 1 << 30, {}), SqlStore(theirs, 100, 1 << 30, {})
    await fill(other, theirs, [b"1", b"2", b"3"])
    await fill(small, ours, [b"1", b"2", b"3"])
    await removal(small, ours)
    assert len(small) == 1
    assert [(await other.get(name, "t")).kept is not None for name in (b"1", b"2", b"3")] == [True] * 3
    await ours.close()
    await theirs.close()


async def test_expired_and_invalidated_answers_leave_the_database(shared: InDatabase) -> None:
    link = shared.link()
    evictions: dict[str, int] = {}
    store = SqlStore(link, 1000, 1 << 30, evictions)
    await fill(store, link, [b"1", b"2"])
    store.invalidate(("t",))
    await until(lambda: not link.writing, "the marks are changed")
    await fill(store, link, [b"new"])
    await fill(store, link, [b"3"], life=0.001)
    await removal(store, link)
    assert evictions == {"invalidated": 2, "expired": 1}
    assert [bytes(name) for (name,) in await shared.sql("SELECT name FROM mcppool_answers")] == [
        link.name(b"a", b"new")
    ]
    await link.close()


async def test_much_growth_leads_to_a_removal_before_its_time(shared: InDatabase) -> None:
    link = shared.link()
    store = SqlStore(link, 1000, 10_000, {})
    await removal(store, link)
    store.sweep(0.0)
    assert not link.writing, "it is not due"
    await fill(store, link, [b"1", b"2"])
    store.sweep(0.0)
    assert link.writing
    await until(lambda: not link.writing, "it has ended")
    await link.close()


async def test_equal_calls_of_two_gateways_are_made_once(shared: InDatabase, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sql, "LEASE", 600.0)
    monkeypatch.setattr(shared_flights, "PATIENCE", 600.0)
    gate = asyncio.Event()
    claims: list[bool] = []
    take = sql.SqlStore.claim

    async def claim(store: sql.SqlStore, key: bytes) -> bool:
        claims.append(await take(store, key))
        return claims[-1]

    monkeypatch.setattr(sql.SqlStore, "claim", claim)
    async with HintServer(gated(gate)) as server:
        server.capabilities = {"tools": {}}  # no change is announced, so nothing is invalidated
        section = shared.section()
        async with (
            caching_pool(server, cache=section, sections=READ_CACHED) as one,
            caching_pool(server, cache=section, sections=READ_CACHED) as other,
        ):
            for client in (one, other):  # both have opened the database
                assert (await client.caching.store.get(b"k", "t")).mark is not None
            first = asyncio.create_task(one.tool("read"))
            await until(lambda: server.calls("read"), "the first call is there")
            others = [asyncio.create_task(other.tool("read")) for _ in range(3)]
            (count,) = await shared.sql("SELECT count(*) FROM mcppool_claims")
            assert count == (1,)
            await until(lambda: False in claims, "the others wait")
            gate.set()
            results = await asyncio.gather(*others)
            assert results == [await first] * 3, (claims, [dict(link_of(client).errors) for client in (one, other)])
            assert server.executed("read") == 1
            assert other.counters.coalesced + other.counters.hits.get("read", 0) == 3
            async with asyncio.timeout(60):  # both gateways may have claimed it, one after the other
                while await shared.sql("SELECT count(*) FROM mcppool_claims") != [(0,)]:
                    await asyncio.sleep(0.01)


async def test_a_process_that_leaves_the_file_takes_nothing_from_the_pools_of_another_that_share_it(
    tmp_path: Path,
) -> None:
    file = tmp_path / "cache.sqlite3"

    async def marks_in_another_process() -> bytes:
        statement = "SELECT count(*) FROM mcppool_marks"
        count = f"import sqlite3, sys; print(*sqlite3.connect(sys.argv[1]).execute({statement!r}).fetchone())"
        command = (sys.executable, "-c", count, str(file))
        process = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        return (await process.communicate())[0].strip()

    pools = [SqliteDatabase(str(file), timeout=60) for _ in range(2)]
    try:
        for pool in pools:
            await pool.open()
        await pools[0].open()  # as after a time without it
        for number, pool in enumerate(pools):
            assert await marks_in_another_process() == b"%d" % number
            await pool.make_mark(b"%032d" % number, b"%08d" % number)
        assert await marks_in_another_process() == b"2"
    finally:
        for pool in pools:
            await pool.close()


async def test_a_socket_file_needs_no_password_and_a_wrong_one_is_visible(
    database: InPostgres, postgres_server: PostgresServer, tmp_path: Path
) -> None:
    database.url, database.password_file = postgres_server.socket_address, None
    link = database.link()
    assert isinstance((await database.store(link).get(b"k", "t")).mark, bytes)
    assert link.trouble is None
    await link.close()
    (tmp_path / "wrong").write_text(f"not {PASSWORD}")
    database.url, database.password_file = postgres_server.address, str(tmp_path / "wrong")
    link = database.link()
    assert (await database.store(link).get(b"k", "t")).mark is None
    assert "password authentication failed" in (link.trouble or "")
    await link.close()


@pytest.mark.parametrize("damage", ["no folder", "not a database"])
async def test_a_file_that_cannot_be_used_is_visible_and_calls_go_on(tmp_path: Path, damage: str) -> None:
    folder = tmp_path / "there"
    shared = InSqlite(folder)
    if damage == "not a database":
        folder.mkdir()
        shared.file.write_text("something else, which is not touched\n" * 100)
    async with (
        HintServer() as server,
        caching_pool(server, cache=shared.section(), sections=READ_CACHED) as client,
    ):
        assert await client.tool("read") != await client.tool("read")
        trouble = client.caching.store.trouble
        assert trouble is not None
        assert {"no folder": "No such file", "not a database": "not a database"}[damage] in trouble
    if damage == "not a database":
        assert shared.file.read_text().startswith("something else")


@pytest.mark.parametrize("table", TABLES)
async def test_a_table_that_is_dropped_is_made_again(shared: InDatabase, table: str) -> None:
    link = shared.link()
    store = shared.store(link)
    await fill(store, link, [b"k"])
    reported: list[str | None] = []
    link.reports.append(reported.append)
    await shared.sql(f"DROP TABLE {table}")
    name = bytes(32)
    await link.attempt(lambda: link.database.read((name,), (name,)))
    await link.attempt(lambda: link.database.claim(name, name, 1.0))
    await until(lambda: reported and reported[-1] is None, "it is there again")
    assert table in (reported[0] or "")
    await fill(store, link, [b"other"])
    assert (await store.get(b"other", "t")).kept is not None
    assert reported[1:] == [None]
    await link.close()


async def test_tables_of_another_version_are_refused_with_the_remedy_and_stay(shared: InDatabase) -> None:
    link = shared.link()
    await fill(shared.store(link), link, [b"k"])
    await shared.sql("ALTER TABLE mcppool_answers RENAME COLUMN used TO seen")
    with pytest.raises(OSError, match=r"used.*drop mcppool_answers, mcppool_marks, mcppool_claims"):
        await link.check()
    assert await shared.sql("SELECT count(*) FROM mcppool_answers") == [(1,)]
    await link.close()


async def test_a_database_that_takes_no_writes_is_no_cache(
    database: InPostgres, postgres_server: PostgresServer
) -> None:
    import asyncpg  # here, because it is an extra

    link = database.link()
    await link.check()
    earlier = await asyncpg.connect(postgres_server.socket_address)  # the change is for later connections
    try:
        await earlier.execute("ALTER ROLE mcppool SET default_transaction_read_only = on")
        with pytest.raises(asyncpg.ReadOnlySQLTransactionError):
            await link.check()
    finally:
        await earlier.execute("ALTER ROLE mcppool RESET ALL")
        await earlier.close()
        await link.close()


async def test_a_database_that_opens_slowly_delays_calls_by_the_time_out_and_is_no_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared = InSqlite(tmp_path)
    link = shared.link(timeout=0.01)
    gate, opened = asyncio.Event(), link.database.open

    async def slow() -> None:
        await gate.wait()
        await opened()

    monkeypatch.setattr(link.database, "open", slow)
    store = SqlStore(link, 10, 1 << 20, {})
    assert (await store.get(b"k", "t")).mark is None
    assert (link.trouble, link.errors) == (None, {})
    gate.set()
    await link.open()
    link._timeout = 30.0
    assert isinstance((await store.get(b"k", "t")).mark, bytes)
    await link.close()


async def test_processes_that_open_a_new_file_at_once_all_succeed(tmp_path: Path) -> None:
    shared = InSqlite(tmp_path)
    for number in range(5):
        shared.url = f"sqlite://{tmp_path}/{number}.sqlite3"
        databases = [shared.database(timeout=0.05) for _ in range(8)]
        await asyncio.gather(*(database.open() for database in databases))
        for database in databases:
            await database.close()


async def test_a_user_without_a_home_learns_which_key_to_set(monkeypatch: pytest.MonkeyPatch) -> None:
    def nowhere(path: Path) -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setattr(Path, "expanduser", nowhere)
    cache = 'type = "sql"\n'
    async with HintServer() as server, caching_pool(server, cache=cache, sections=READ_CACHED) as client:
        assert await client.tool("read") != await client.tool("read")
        assert "set cache.sql_url" in (client.caching.store.trouble or "")


async def test_without_an_address_the_answers_are_in_a_private_file_in_the_folder_for_caches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CACHE_DIRECTORY", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "new"))
    cache = 'type = "sql"\nsql_timeout = "10s"\n'
    async with HintServer() as server, caching_pool(server, cache=cache, sections=READ_CACHED) as client:
        number = await client.tool("read")
        await until(lambda: not link_of(client).writing, "it is written")
        assert await client.tool("read") == number
    file = tmp_path / "new" / "mcppool" / "cache.sqlite3"
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    monkeypatch.setenv("CACHE_DIRECTORY", f"{tmp_path}:/elsewhere")
    assert default_file() == tmp_path / "cache.sqlite3"
