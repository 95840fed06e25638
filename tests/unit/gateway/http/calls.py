"""Requests as bytes, and a handler with calls that a test holds back."""

from __future__ import annotations

import asyncio
from time import monotonic

from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.connection_state import WITH_CLIENT, ClientConnectionState
from mcppool.gateway.http.http_request import HttpRequest
from tests.unit.gateway.http.driving import Wire

HEAD = b"POST /mcp HTTP/1.1\r\nHost: a\r\n"
EMPTY = HEAD + b"\r\n"
WITH_BODY = HEAD + b"Content-Length: 5\r\n\r\n"
EVENTS = b"content-type: text/event-stream\r\n"


class Gate:
    """A handler with calls that wait until the test lets one go on."""

    def __init__(self) -> None:
        self.targets: list[bytes] = []
        self.cancelled = 0
        self.finished = 0
        self._waiting: list[asyncio.Future[None]] = []
        self.lifetime = WITH_CLIENT

    async def __call__(self, request: HttpRequest, connection: HttpConnection) -> None:
        self.targets.append(request.target)
        connection.lifetime = self.lifetime
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        try:
            await future
        except asyncio.CancelledError:
            self.cancelled += 1
            if not connection.ending:
                raise
            connection.response.whole(503, b"", b"last words")
            return
        connection.response.whole(200, b"", request.target)
        self.finished += 1

    async def open(self) -> None:
        self._waiting.pop(0).set_result(None)
        await turn()


async def turn() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def has_just_entered(wire: Wire, state: ClientConnectionState) -> bool:
    """Whether the connection is in a state and has its whole time, less a margin for a busy machine."""
    assert state.timeout is not None
    left = wire.connection.deadline - monotonic()
    return wire.connection.state is state and state.timeout - 5 < left <= state.timeout


def late(wire: Wire) -> None:
    """The sweep comes by when the connection's deadline is just over."""
    wire.sweep(wire.connection.deadline)


def post(target: bytes) -> bytes:
    return b"POST " + target + b" HTTP/1.1\r\nHost: a\r\n\r\n"
