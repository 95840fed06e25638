"""A connection, its owner, and the bytes of a server on it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any

from mcppool.upstream.http.awaited_answer import AwaitedAnswer
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import Response
from tests.unit.upstream.transports import FakeTransport

LATER = float("inf")
JSON = b"content-type: application/json\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


def ask(
    connection: Connection, data: bytes, now: float, first_byte: float, stream_idle: float, total: float, **options: Any
) -> asyncio.Future[Response]:
    """Write a request; see `Connection.request`. The future of its answer."""
    answer = AwaitedAnswer(connection.loop)
    connection.request(answer, data, now, first_byte, stream_idle, total, **options)
    return answer.future


class Owner:
    """Records the fate of its connection."""

    def __init__(self) -> None:
        self.released = 0
        self.closed = 0

    def connection_released(self, connection: Connection) -> None:
        self.released += 1

    def connection_closed(self, connection: Connection) -> None:
        self.closed += 1


class Line:
    """A connection, its owner, and the server's end."""

    def __init__(self) -> None:
        self.owner = Owner()
        self.connection = Connection(asyncio.get_running_loop(), self.owner)
        self.transport = FakeTransport(asyncio.get_running_loop(), self.connection)

    def ask(self, **options: Any) -> asyncio.Future[Response]:
        now = monotonic()
        answer = ask(self.connection, b"GET / HTTP/1.1\r\n\r\n", now, LATER, 60.0, LATER, **options)
        self.connection.flush()
        return answer

    def says(self, *pieces: bytes) -> None:
        """The server sends; as on a real transport nothing arrives once it is closed."""
        for piece in pieces:
            if not self.transport.is_closing():
                self.connection.data_received(piece)

    async def ends(self, error: Exception | None = None) -> None:
        if error is None:
            self.connection.eof_received()
        self.transport.lose(error)
        await asyncio.sleep(0)
        await asyncio.sleep(0)


def sized(body: bytes, head: bytes = JSON) -> bytes:
    return b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n%b" % (head, len(body), body)


def chunks(*parts: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts)


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    """The same bytes in pieces, cut at these places."""
    marks = sorted({place % (len(data) + 1) for place in places})
    return [data[a:b] for a, b in zip([0, *marks], [*marks, len(data)], strict=True) if a < b]


async def read(response: Response) -> bytes:
    if response.whole:
        return response.body
    body = b""
    while chunk := await response.next_chunk():
        body += chunk
    return body


FORMS = {
    "sized": sized(b'{"a":1}'),
    "chunked": b"HTTP/1.1 200 OK\r\n%btransfer-encoding: chunked\r\n\r\n" % JSON
    + chunks(b'{"a"', b":", b"1}")
    + b"0\r\n\r\n",
    "trailers": b"HTTP/1.1 200 OK\r\n%btransfer-encoding: chunked\r\n\r\n" % JSON
    + chunks(b'{"a":1}')
    + b"0\r\ncontent-type: text/event-stream\r\nx-late: 1\r\n\r\n",
    "continued": b"HTTP/1.1 100 Continue\r\n\r\n" + sized(b'{"a":1}'),
    "hinted": b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + sized(b'{"a":1}'),
}
