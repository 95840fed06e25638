"""Large answers go to the transport in several parts; the client gets the bytes that one part would have."""

from __future__ import annotations

from time import monotonic

import pytest

from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.response_writer import COMMENT, COPIED
from mcppool.wire.media_types import EVENT_HEADERS
from tests.unit.gateway.http.calls import EMPTY
from tests.unit.gateway.http.driving import Wire
from tests.unit.upstream.line import chunks

HEADERS = b"content-type: application/json\r\n"
SIZES = [1, COPIED, COPIED + 1, 20 * COPIED]


@pytest.mark.parametrize("size", SIZES)
async def test_a_whole_answer_of_any_size_follows_its_head(size: int) -> None:
    body = b"x" * size

    async def answer(_request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.whole(200, HEADERS, body)

    wire = Wire(answer)
    await wire.say(EMPTY)
    assert wire.said == b"HTTP/1.1 200 OK\r\n" + HEADERS + b"content-length: %d\r\n\r\n" % size + body
    assert wire.metrics.listener_bytes_sent == len(wire.said)


@pytest.mark.parametrize("size", SIZES)
async def test_a_part_of_a_stream_of_any_size_is_one_chunk(size: int) -> None:
    part = b"x" * size

    async def answer(_request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.begin(200, HEADERS)
        connection.response.write(part)
        connection.response.end()

    wire = Wire(answer)
    await wire.say(EMPTY)
    head, _, chunks = wire.said.partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert chunks == b"%x\r\n%b\r\n0\r\n\r\n" % (size, part)
    assert wire.metrics.listener_bytes_sent == len(wire.said)


@pytest.mark.parametrize("size", SIZES)
async def test_the_head_of_a_stream_and_its_first_part_are_one_write(size: int) -> None:
    part = b"x" * size
    writes: list[bytes] = []

    async def answer(_request: HttpRequest, connection: HttpConnection) -> None:
        buffer = connection.response._buffer
        assert buffer.transport is not None
        buffer.transport.write = writes.append  # type: ignore[method-assign, assignment]
        buffer.transport.writelines = lambda parts: writes.append(b"".join(parts))  # type: ignore[method-assign, assignment]
        connection.response.begin(200, HEADERS, part)
        buffer.flush()

    await Wire(answer).say(EMPTY)
    head, _, chunk = writes[0].partition(b"\r\n\r\n")
    assert b"transfer-encoding: chunked" in head
    assert chunk == chunks(part)


async def test_no_comment_stands_in_the_middle_of_an_event() -> None:
    async def answer(_request: HttpRequest, connection: HttpConnection) -> None:
        reply = connection.response
        reply.comment_on_silence(15.0, 0.0, may_open=True)
        reply.begin(200, EVENT_HEADERS, b"data: {")
        reply.within_event(True)
        assert reply.comment_if_silent(monotonic() + 20.0) > 0.0
        reply.write(b"}\n\n")
        reply.within_event(False)
        reply.comment_if_silent(monotonic() + 60.0)
        reply.end()

    wire = Wire(answer)
    await wire.say(EMPTY)
    assert wire.said.partition(b"\r\n\r\n")[2] == chunks(b"data: {", b"}\n\n", COMMENT) + b"0\r\n\r\n"
