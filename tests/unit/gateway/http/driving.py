"""A connection of the listener without a socket: a transport that a test holds in its hands."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterable
from copy import copy

from mcppool.gateway.http.call_worker import Rest
from mcppool.gateway.http.client_caps import UNLIMITED, ClientCaps
from mcppool.gateway.http.connection import Handler, HttpConnection
from mcppool.gateway.http.connection_state import ENDING, SERVING
from mcppool.gateway.http.http_request import HttpRequest, RequestLimits
from mcppool.gateway.http.listener_context import ListenerContext
from mcppool.gateway.http.sweep import sweep
from mcppool.observe.metrics import GatewayMetrics
from mcppool.policy.memory_budget import MemoryBudget

TURNS = 1000  # turns of the loop after which everything possible has happened


class FakeTransport(asyncio.Transport):
    """The written bytes, and the ways in which a client can be slow or gone."""

    def __init__(self, protocol: HttpConnection, *, half_closes: bool = True, peer: str = "127.0.0.1") -> None:
        super().__init__({"peername": (peer, 50_000)})
        self.protocol = protocol
        self.written = bytearray()
        self.paused = False
        self.eof = False  # our side has ended
        self.gone = False
        self.aborted = False
        self.backlog = 0  # bytes that the client has not taken
        self._half_closes = half_closes

    def write(self, data: bytes | bytearray | memoryview) -> None:
        assert not self.eof, "written after the end"
        if not self.gone:
            self.written += data

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        """This transport never pauses by itself."""

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def can_write_eof(self) -> bool:
        return self._half_closes

    def write_eof(self) -> None:
        self.eof = True

    def get_write_buffer_size(self) -> int:
        return self.backlog

    def is_closing(self) -> bool:
        return self.gone

    def close(self) -> None:
        if not self.gone:
            self.gone = True
            asyncio.get_running_loop().call_soon(self.protocol.connection_lost, None)

    def abort(self) -> None:
        self.aborted = True
        self.close()


class Wire:
    """One connection to a listener: `say` sends, `said` are the received bytes, `requests` the admitted requests."""

    def __init__(
        self,
        handler: Handler | None = None,
        *,
        max_body: int = 1000,
        half_closes: bool = True,
        remembers: RequestLimits | None = None,
        caps: ClientCaps = UNLIMITED,
        memory: MemoryBudget | None = None,
        peer: str = "127.0.0.1",
    ) -> None:
        self.metrics = GatewayMetrics()
        self._handler = handler or answer_at_once
        self.shared = ListenerContext(self.metrics, max_body, memory, caps)
        self.connections: set[HttpConnection] = set()
        self._serve = self._handle  # of the first connection, which notes the requests of all
        if remembers is not None:
            self.shared.limits = remembers  # heads that other connections have brought
        self._connect(half_closes, peer)

    def another(self, peer: str = "127.0.0.1") -> Wire:
        """One more connection to the same listener."""
        other = copy(self)
        other._connect(True, peer)
        return other

    def _connect(self, half_closes: bool, peer: str) -> None:
        self.requests: list[HttpRequest] = []
        self.connection = HttpConnection(self.shared, self._serve, self.connections)
        self.transport = FakeTransport(self.connection, half_closes=half_closes, peer=peer)
        self.connection.connection_made(self.transport)

    def _handle(self, request: HttpRequest, connection: HttpConnection) -> Rest | None:
        self.requests.append(request)
        return self._handler(request, connection)

    async def say(self, chunks: bytes | Iterable[bytes]) -> None:
        """Deliver bytes as a loop would: not while reading is paused, not after the end."""
        for chunk in [chunks] if isinstance(chunks, bytes) else chunks:
            await self.settle(lambda: not self.transport.paused)
            if self.transport.gone or self.transport.paused:
                return
            self.connection.data_received(chunk)
        await self.settle(lambda: not self.connection.busy)
        for _ in range(3):  # the writes of a turn are made at its end, those that may be followed by more a turn later
            await asyncio.sleep(0)

    def sweep(self, now: float) -> None:
        """The listener looks at its connections."""
        sweep(self.connections, self.shared, now)

    async def settle(self, condition: object = None) -> None:
        """Let the loop turn until `condition()`, or until nothing more can come."""
        for turn in range(TURNS):
            if callable(condition) and condition():
                return
            if turn > 20 and self.connection.state not in (SERVING, ENDING):
                return
            await asyncio.sleep(0)

    @property
    def said(self) -> bytes:
        return bytes(self.transport.written)

    @property
    def statuses(self) -> list[int]:
        """Of the answers in order; none of the bodies in these tests holds a status line."""
        return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", self.said)]


async def answer_at_once(request: HttpRequest, connection: HttpConnection) -> None:
    connection.response.whole(200, b"", b"")
