"""A library pool with the addresses of a host name as endpoints, resolved at its start and while it is open."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mcppool.discovery.dns import DnsSource
from mcppool.discovery.static import FixedSource
from mcppool.spec import ConfigError, PoolSpec, Snapshot


class Addresses:
    """Follows the name of a snapshot's one pool until it is closed."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._first: asyncio.Future[PoolSpec] = asyncio.get_running_loop().create_future()
        self._on_change: Callable[[PoolSpec], None] = lambda _spec: None
        self._source = DnsSource(FixedSource(snapshot))
        self._task = asyncio.create_task(self._source.watch(self._take, self._refuse), name="addresses")

    async def first(self) -> PoolSpec:
        """The pool with the current addresses of the name."""
        return await asyncio.shield(self._first)

    def follow(self, on_change: Callable[[PoolSpec], None]) -> None:
        """Report each change."""
        self._on_change = on_change

    async def close(self) -> None:
        """Stop following the name."""
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)
        await self._source.aclose()
        self._first.cancel()

    def _take(self, snapshot: Snapshot) -> None:
        (spec,) = snapshot.pools
        if self._first.done():
            self._on_change(spec)
        else:
            self._first.set_result(spec)

    def _refuse(self, _error: ConfigError) -> None:
        """Do nothing: the snapshot is known to be valid."""
