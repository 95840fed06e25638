"""The cost of a hit in each store: memory, Redis, SQLite, PostgreSQL, with real servers on this machine.

Rounds of the stores alternate, so that other load affects all alike; the table shows medians. `CPU` is the time of this
process for one hit, `waits` the time until the answer is there, both with one hit at a time and with 16 at a time.
"""

from __future__ import annotations

import asyncio
import contextlib
import statistics
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from mcppool.cache.memory import MemoryStore
from mcppool.cache.redis import RedisStore
from mcppool.cache.redis_link import RedisLink
from mcppool.cache.sql import SqlStore
from mcppool.cache.sql_link import SqlLink, database_of
from mcppool.cache.store import CachedAnswer, CacheStore
from mcppool.wire.sealing import Key, KeyRing
from tests.servers import serving
from tests.servers.postgres_server import PASSWORD, PostgresServer
from tests.servers.redis_server import RedisServer

KEYS = 200
AT_ONCE = 16
RING = KeyRing([Key("k", bytes(32))])
ANSWER = b'{"content":[{"type":"text","text":"%b"}],"isError":false,"resultType":"complete"}' % (b"x" * 300)


async def fill(store: CacheStore, written: Callable[[], bool]) -> None:
    for number in range(KEYS):
        found = await store.get(b"%d" % number, "t")
        store.put(b"%d" % number, "t", CachedAnswer(ANSWER, 3600.0), found.mark)
        while not written():  # noqa: ASYNC110 (writes in the background have no event)
            await asyncio.sleep(0.001)


async def hits(store: CacheStore, calls: int, at_once: int) -> tuple[float, float]:
    """Microseconds of CPU time and of waiting for one hit."""
    waits: list[float] = []

    async def client(first: int) -> None:
        for number in range(first, calls, at_once):
            began = time.perf_counter()
            found = await store.get(b"%d" % (number % KEYS), "t")
            waits.append(time.perf_counter() - began)
            assert found.fresh

    began = time.process_time()
    await asyncio.gather(*(client(first) for first in range(at_once)))
    return (time.process_time() - began) / calls * 1e6, statistics.median(waits) * 1e6


@contextlib.asynccontextmanager
async def stores() -> AsyncIterator[dict[str, CacheStore]]:
    """One of each, filled."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (redis,) = await asyncio.to_thread(stack.enter_context, serving(RedisServer(folder)))
        (postgres,) = await asyncio.to_thread(stack.enter_context, serving(PostgresServer()))
        (folder / "password").write_text(PASSWORD)
        found: dict[str, CacheStore] = {"memory": MemoryStore(1000, 1 << 30, {})}
        await fill(found["memory"], lambda: True)
        link = RedisLink(redis.address, "bench", {}, RING, timeout=10.0)
        stack.push_async_callback(link.close)
        found["Redis"] = RedisStore(link)
        await fill(found["Redis"], lambda: not link.writing)
        urls = {"SQLite": f"sqlite://{folder}/cache.sqlite3", "PostgreSQL": postgres.address}
        for name, url in urls.items():
            database = database_of(url, timeout=10.0, password_file=str(folder / "password"))
            sql = SqlLink(database, "bench", {}, RING, timeout=10.0)
            stack.push_async_callback(sql.close)
            found[name] = SqlStore(sql, 1000, 1 << 30, {})
            await fill(found[name], lambda sql=sql: not sql.writing)  # type: ignore[misc]
        yield found


async def measure(rounds: int, calls: int) -> dict[tuple[str, int], tuple[float, float]]:
    """By store and number of hits at a time, the median CPU time and wait."""
    measured: dict[tuple[str, int], list[tuple[float, float]]] = {}
    async with stores() as found:
        for _ in range(rounds):
            for name, store in found.items():
                for at_once in (1, AT_ONCE):
                    measured.setdefault((name, at_once), []).append(await hits(store, calls, at_once))
    return {
        key: (statistics.median(cpu for cpu, _ in each), statistics.median(wait for _, wait in each))
        for key, each in measured.items()
    }


def report(rounds: int = 5, calls: int = 1000) -> None:
    """Print the table."""
    measured = asyncio.run(measure(rounds, calls))
    print(f"\nA hit in each store ({rounds} rounds of {calls:,} hits, answers of {len(ANSWER)} bytes)\n")
    print(f"| store | CPU, µs | waits, µs | CPU with {AT_ONCE} at a time, µs | waits, µs |")
    print("|---|---:|---:|---:|---:|")
    for name in dict.fromkeys(name for name, _ in measured):
        cells = [f"{value:.0f}" for at_once in (1, AT_ONCE) for value in measured[name, at_once]]
        print(f"| {name} | " + " | ".join(cells) + " |")
