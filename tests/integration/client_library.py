"""`mcppool.Pool` in a test: a check for leaks, and servers of the handshake era that record their calls."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcppool
from tests.descriptors import described, held
from tests.servers.faults import (
    FaultServer,
)
from tests.servers.handshakes import Handshakes
from tests.waiting import until

ME = {"name": "the-program", "version": "1"}
FEW = {"min_connections": 1, "max_connections": 4}


@asynccontextmanager
async def nothing_left(*servers: FaultServer) -> AsyncIterator[None]:
    """The code inside leaves neither task nor file descriptor, once those `servers` have seen the end, too."""
    tasks, files = asyncio.all_tasks(), held()
    yield
    if servers:  # they close their ends of the connections in their own time, in this process
        await until(lambda: held() <= files, "the servers have closed their ends")
        await until(lambda: asyncio.all_tasks() == tasks, "their tasks are over")
    left, running = held() - files, asyncio.all_tasks() - tasks
    assert not running
    assert not left, described(left)


@asynccontextmanager
async def legacy_pool(
    behaviour: Handshakes, servers: int = 1, **sections: Any
) -> AsyncIterator[tuple[mcppool.Pool, list[FaultServer]]]:
    """A pool of servers of the handshake era; sessions of the program are recognised by its name."""
    fakes = [FaultServer(behaviour, everything=True, name=f"s{n}") for n in range(servers)]
    for fake in fakes:
        await fake.listen()
    try:
        sections = {"connection_pool": FEW, **sections}
        async with mcppool.Pool([fake.url for fake in fakes], client_info=ME, profile="test", **sections) as pool:
            yield pool, fakes
    finally:
        for fake in fakes:
            await fake.refuse()
