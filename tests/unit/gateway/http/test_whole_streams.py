"""Event streams that are written at once, and streams with their first part."""

from __future__ import annotations

import pytest

from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.http_request import HttpRequest
from tests.unit.gateway.http.calls import EMPTY, EVENTS
from tests.unit.gateway.http.driving import Wire

OLD = b"POST /mcp HTTP/1.0\r\n\r\n"
EVENT = b"data: 1\n\n"
STREAM = b"HTTP/1.1 200 OK\r\n" + EVENTS + b"%btransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("request_bytes", [EMPTY, OLD])
async def test_a_whole_stream_has_a_length(request_bytes: bytes) -> None:
    async def answer(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.whole_stream(EVENTS, EVENT)

    wire = Wire(answer)
    await wire.say(request_bytes)
    closes = b"connection: close\r\n" if request_bytes is OLD else b""
    assert wire.said == b"HTTP/1.1 200 OK\r\n" + EVENTS + closes + b"content-length: 9\r\n\r\n" + EVENT


async def test_a_whole_stream_follows_comments_and_ends_the_stream() -> None:
    async def answer(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.aside(b": ping\n\n", EVENTS)
        connection.response.whole_stream(EVENTS, EVENT)

    wire = Wire(answer)
    await wire.say([EMPTY, EMPTY])
    once = STREAM % b"" + b"8\r\n: ping\n\n\r\n9\r\n" + EVENT + b"\r\n0\r\n\r\n"
    assert wire.said == once * 2


@pytest.mark.parametrize("request_bytes", [EMPTY, OLD])
@pytest.mark.parametrize("comment", [b"", b": ping\n\n"])
async def test_a_first_part_is_written_as_later_ones_are(request_bytes: bytes, comment: bytes) -> None:
    together = await answered(request_bytes, comment, EVENT, b"")
    assert EVENT in together
    assert together == await answered(request_bytes, comment, b"", EVENT)


async def answered(request_bytes: bytes, comment: bytes, first: bytes, second: bytes) -> bytes:
    """The bytes of a stream of a comment and two parts."""

    async def answer(request: HttpRequest, connection: HttpConnection) -> None:
        if comment:
            connection.response.aside(comment, EVENTS)
        connection.response.begin(200, EVENTS, first)
        connection.response.write(second)
        connection.response.end()

    wire = Wire(answer)
    await wire.say(request_bytes)
    return wire.said
