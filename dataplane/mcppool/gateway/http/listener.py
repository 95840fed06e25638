"""The listening socket: accepts, checks the deadlines of its connections, and drains at the end."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterable, Sequence
from time import monotonic
from typing import Any

from mcppool.gateway.http.body import COPIES
from mcppool.gateway.http.client_caps import Clients, caps_of, most_waiting
from mcppool.gateway.http.connection import Handler, HttpConnection
from mcppool.gateway.http.connection_state import UNTIL_DRAIN
from mcppool.gateway.http.http_request import CREDENTIAL_HEADERS
from mcppool.gateway.http.listener_context import ListenerContext
from mcppool.gateway.http.sweep import sweep
from mcppool.gateway.http.tls import Certificate
from mcppool.gateway.http.unread import without_unread
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.policy.standstill import Standstill
from mcppool.spec import ListenerSpec
from mcppool.supervision import supervise

SWEEP = 0.5  # seconds between two looks at connections that take too long
BACKLOG = 4096
STEP = 0.02  # seconds between two looks at calls in flight during a drain
LINGER = 1.0  # seconds in which an idle connection may bring one more call: its client may be writing it now
FAREWELL = 1.0  # seconds for final replies to reach their clients after the drain time
HANDSHAKE_TIMEOUT = 10.0  # seconds for a client's TLS handshake


class Listener:
    """Listens between `start` and `stop`; `address` is the real one once started."""

    def __init__(self, handler: Handler, metrics: GatewayMetrics, memory: MemoryBudget, spec: ListenerSpec) -> None:
        self._shared = ListenerContext(metrics, spec.max_body, memory, caps_of(spec, memory))
        self._handler = handler
        self._connections: set[HttpConnection] = set()
        self._memory = memory
        self._spec = spec
        self._servers: list[asyncio.Server] = []
        self._certificate: Certificate | None = None
        self._sweeper: asyncio.Task[None] | None = None
        self.address: tuple[str, int] = ("", 0)

    @property
    def connections(self) -> int:
        """Connections of clients."""
        return len(self._connections)

    @property
    def clients(self) -> Clients:
        """The client addresses, with their connections and bytes."""
        return self._shared.clients

    def keep_secret(self, headers: Iterable[str]) -> None:
        """Do not remember the values of these headers, in lower case, beyond their connection."""
        names = CREDENTIAL_HEADERS.union(name.encode() for name in headers)
        if not names <= self._shared.limits.credential_headers:
            self._shared.limits.heads.clear()
        self._shared.limits.credential_headers = names

    def configure(self, spec: ListenerSpec) -> None:
        """Apply changed limits, of the listener or of the memory that they are shares of."""
        self._spec = spec
        caps = caps_of(spec, self._memory)
        self._shared.clients.set_caps(caps)
        least = min(caps.memory_per_client, caps.memory_per_principal)
        self._shared.limits.max_body = int(min(spec.max_body, least / COPIES))

    async def start(self, host: str | Sequence[str], port: int, certificate: Certificate | None = None) -> None:
        """Listen, for HTTPS with a certificate; on the same port of each host. Raises OSError if it cannot."""
        self._certificate = certificate
        await self._serve({"host": host, "port": port, "reuse_address": True})

    async def start_on(self, sockets: Sequence[socket.socket], certificate: Certificate | None = None) -> None:
        """Listen on bound sockets."""
        self._certificate = certificate
        for sock in sockets:
            await self._serve({"sock": sock})

    async def _serve(self, where: dict[str, Any]) -> None:
        certificate = self._certificate
        server = await self._shared.loop.create_server(
            lambda: HttpConnection(self._shared, self._handler, self._connections),
            ssl=certificate.context if certificate is not None else None,
            ssl_handshake_timeout=HANDSHAKE_TIMEOUT if certificate is not None else None,
            backlog=min(BACKLOG, most_waiting()),
            **where,
        )
        self._servers.append(server)
        if len(self._servers) == 1:
            self.address = server.sockets[0].getsockname()[:2]
            self._sweeper = supervise("listener sweep", self._sweep)

    async def stop(self, drain: float) -> None:
        """Accept no more connections, let calls in flight finish within `drain` seconds, and end the rest with an
        error."""
        shared = self._shared
        for server in self._servers:
            server.close()
        shared.draining = True
        for connection in [c for c in self._connections if c.lifetime is UNTIL_DRAIN]:
            connection.cut()
        await self._settle(drain, min(LINGER, drain))
        for connection in list(self._connections):
            connection.cut()
        for task in list(shared.detached):
            task.cancel()
        await self._settle(FAREWELL, 0.0)
        for connection in list(self._connections):
            connection.abort()
        tasks = [*shared.detached, *([self._sweeper] if self._sweeper is not None else [])]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _settle(self, seconds: float, linger: float) -> None:
        """Close idle connections after `linger` seconds, until none is left or the time is over."""
        shared = self._shared
        began = monotonic()
        while (self._connections or shared.detached) and monotonic() < began + seconds:
            if monotonic() >= began + linger:
                for connection in without_unread(self._connections):
                    connection.shut()
            await asyncio.sleep(STEP)

    async def _sweep(self) -> None:
        standstill = Standstill(SWEEP, monotonic())
        while True:
            await asyncio.sleep(SWEEP)
            now = monotonic()
            if not standstill.spares(now):
                sweep(self._connections, self._shared, now)
            if self._certificate is not None:
                self._certificate.refresh()
