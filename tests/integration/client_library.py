"""`mcppool.Pool` in a test: what it leaves behind, and servers of the handshake era that note what is done."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import mcppool
from tests.servers.faults import (
    FaultServer,
)
from tests.servers.handshakes import Handshakes
from tests.waiting import until

ME = {"name": "the-program", "version": "1"}
FEW = {"min_connections": 1, "max_connections": 4}


def held() -> set[str]:
    """What this process has open: each socket has a number of its own."""
    names = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            names.add(os.readlink(f"/proc/self/fd/{number}"))
        except FileNotFoundError:
            pass  # that of the listing itself
    return {name for name in names if not name.startswith("/proc/")}


@asynccontextmanager
async def nothing_left(*servers: FaultServer) -> AsyncIterator[None]:
    """What runs inside leaves neither task nor file descriptor, once those `servers` have seen the end, too."""
    tasks, files = asyncio.all_tasks(), held()
    yield
    await until(lambda: not any(server.connected for server in servers), "nobody is connected any more")
    assert asyncio.all_tasks() == tasks
    assert held() <= files


@asynccontextmanager
async def legacy_pool(
    behaviour: Handshakes, servers: int = 1, **sections: Any
) -> AsyncIterator[tuple[mcppool.Pool, list[FaultServer]]]:
    """A pool of servers of the handshake era; sessions of the program are told by its name."""
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
