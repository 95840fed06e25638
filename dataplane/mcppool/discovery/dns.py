"""Pools with the addresses of a host name as endpoints, resolved periodically.

The published result is an ordinary snapshot: one endpoint for each address replaces the pool's `dns` URL. A name that
cannot be resolved keeps its last addresses; one that never resolved gives a pool without endpoints, not a refusal,
because names may appear later than gateways.
"""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import Awaitable, Callable
from functools import partial
from urllib.parse import urlsplit, urlunsplit

from mcppool.discovery.source import Publish, Refuse, Source
from mcppool.spec import EndpointSpec, PoolSpec, Snapshot
from mcppool.spec.address import address_of, with_brackets, with_port

INTERVAL = 5.0  # seconds; the resolver gives no TTL, and headless Services have short ones
JITTER = 0.2
TIMEOUT = 5.0

Resolve = Callable[[str, int], Awaitable[list[str]]]
"""Host and port → addresses. Raises OSError."""


async def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host by the system's resolver, in a stable order."""
    loop = asyncio.get_running_loop()
    infos = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return sorted({str(info[4][0]) for info in infos})


class DnsSource:
    """Another source's snapshots, with names resolved."""

    def __init__(self, source: Source, interval: float = INTERVAL, resolve: Resolve = resolve) -> None:
        self._source = source
        self._interval = interval
        self._resolve = resolve
        self._addresses: dict[str, tuple[str, ...]] = {}
        self._snapshot: Snapshot | None = None
        self._published: Snapshot | None = None
        self._changed = asyncio.Event()
        self._lookups: dict[str, asyncio.Task[list[str]]] = {}

    async def watch(self, publish: Publish, refuse: Refuse) -> None:
        """Run until cancelled."""

        def take(snapshot: Snapshot) -> None:
            self._snapshot = snapshot
            if any(pool.dns for pool in snapshot.pools):
                self._changed.set()
            else:
                self._published = None  # the next publication is a change, whatever the last one was
                publish(snapshot)

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._source.watch(take, refuse))
            tasks.create_task(self._follow(publish))

    async def _follow(self, publish: Publish) -> None:
        while True:
            wait = self._interval * (1 + JITTER * (2 * random.random() - 1))
            try:
                async with asyncio.timeout(wait if self._names() else None):
                    await self._changed.wait()
            except TimeoutError:
                pass
            self._changed.clear()
            await asyncio.gather(*(self._look_up(name) for name in self._names()))
            snapshot = self._snapshot
            if snapshot is None or not self._names():
                continue
            resolved = snapshot.model_copy(update={"pools": tuple(self._expanded(pool) for pool in snapshot.pools)})
            if resolved != self._published:
                self._published = resolved
                publish(resolved)

    def reload(self) -> None:
        """Read the configuration again, and resolve its names again."""
        self._published = None
        self._source.reload()
        self._changed.set()

    async def aclose(self) -> None:
        """Wait for lookups in progress, `TIMEOUT` seconds at most: each holds a thread with a socket, and cannot be
        cancelled. Call it once `watch` is cancelled."""
        if lookups := set(self._lookups.values()):
            await asyncio.wait(lookups, timeout=TIMEOUT)
            for lookup in lookups:
                lookup.cancel()
            await asyncio.wait(lookups)

    def _names(self) -> list[str]:
        return [pool.dns for pool in self._snapshot.pools if pool.dns] if self._snapshot else []

    async def _look_up(self, url: str) -> None:
        lookup = self._lookups.get(url)
        if lookup is None:
            lookup = self._lookups[url] = asyncio.create_task(_resolved(self._resolve, url), name=f"lookup {url}")
            lookup.add_done_callback(partial(self._looked_up, url))
        try:
            async with asyncio.timeout(TIMEOUT):
                self._addresses[url] = tuple(await asyncio.shield(lookup))
        except (OSError, TimeoutError, UnicodeError):  # the last: a name that cannot be a host name
            self._addresses.setdefault(url, ())

    def _looked_up(self, url: str, lookup: asyncio.Task[list[str]]) -> None:
        del self._lookups[url]
        if not lookup.cancelled():
            lookup.exception()  # the waiters have it

    def _expanded(self, pool: PoolSpec) -> PoolSpec:
        if not pool.dns:
            return pool
        endpoints = tuple(_endpoint(pool.dns, address) for address in self._addresses.get(pool.dns, ()))
        return pool.model_copy(update={"endpoints": endpoints, "dns": None})


async def _resolved(resolve: Resolve, url: str) -> list[str]:
    return await resolve(*address_of(url))


def _endpoint(url: str, address: str) -> EndpointSpec:
    parts = urlsplit(url)
    netloc = with_port(address, parts.port) if parts.port else with_brackets(address)
    return EndpointSpec(url=urlunsplit(parts._replace(netloc=netloc)), host=parts.netloc)
