"""The transport of a connection, with the rare events of a real socket on demand: close, stall or fail."""

from __future__ import annotations

import asyncio
import json
import socket
import weakref
from dataclasses import dataclass, field
from typing import Any

from mcppool.spec import PoolSpec, loads_toml
from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.http.connection import Connection, ConnectionOwner
from mcppool.upstream.http.target import Target

OK = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}"


OPEN: weakref.WeakSet[FakeTransport] = weakref.WeakSet()
"""All transports. When a test has ended its own are closed, or a later test finds their sockets still open."""


class FakeTransport(asyncio.Transport):
    """A transport over one end of a socket pair without a reader; `peer` is the other end."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Connection) -> None:
        super().__init__()
        self._loop = loop
        self.connection = protocol
        self._socket, self.peer = socket.socketpair()
        self.dispose = weakref.finalize(self, _close, self._socket, self.peer)
        OPEN.add(self)
        self._ended = False
        self.written: list[bytes] = []
        self.reading = True
        self.gone = False
        protocol.connection_made(self)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._socket if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        self.written.append(bytes(data))

    def is_closing(self) -> bool:
        return self._ended

    def abort(self) -> None:
        self.lose(None)

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True

    def lose(self, error: Exception | None) -> None:
        """End it, like the other side or the network: the protocol hears of it in the loop's next round."""
        if not self._ended:
            self._ended = True
            self._loop.call_soon(self._lost, error)

    def _lost(self, error: Exception | None) -> None:
        self.gone = True
        self.dispose()
        self.connection.connection_lost(error)


def _close(*sockets: socket.socket) -> None:
    for one in sockets:
        one.close()


@dataclass(frozen=True)
class ScriptedTarget(Target):
    """Each connect waits in `dials` until the test sets its result: `ok`, `refused`, or `closed`, a connection that
    ends as soon as it is established."""

    dials: list[asyncio.Future[str]] = field(default_factory=list)
    transports: list[FakeTransport] = field(default_factory=list)

    async def connect(self, loop: asyncio.AbstractEventLoop, owner: ConnectionOwner, timeout: float) -> Connection:
        dial: asyncio.Future[str] = loop.create_future()
        self.dials.append(dial)
        try:
            outcome = await dial
        finally:
            self.dials.remove(dial)
        if outcome == "refused":
            raise ConnectFailed("refused")
        connection = Connection(loop, owner)
        transport = FakeTransport(loop, connection)
        self.transports.append(transport)
        if outcome == "closed":
            transport.lose(None)
        return connection


def pool_spec(**connection_pool: object) -> PoolSpec:
    """A pool's specification with these values in `[connection_pool]`."""
    lines = "\n".join(f"{key} = {json.dumps(value)}" for key, value in connection_pool.items())
    text = f'[connection_pool]\n{lines}\n[[pools]]\nname = "p"\nendpoints = ["http://127.0.0.1:1/mcp"]'
    return loads_toml(text).pools[0]
