"""For any bytes of a server, a connection holds little outside of an answer's body."""

from __future__ import annotations

import tracemalloc

import pytest

from mcppool.upstream.failures import AttemptFailed, BadAnswer
from mcppool.upstream.http.answer_reader import MAX_HEAD, MAX_HEADERS
from tests.unit.upstream.line import EVENTS, JSON, Line, chunks, read, sized

HEAD = b"HTTP/1.1 200 OK\r\n" + JSON
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
PIECE = b"y" * 16_000
ENDLESS = {
    "a header": (b"HTTP/1.1 200 OK\r\nx: ", PIECE),
    "a header's name": (b"HTTP/1.1 200 OK\r\n", PIECE),
    "a reason": (b"HTTP/1.1 200 ", PIECE),
    "headers": (HEAD, b"x: y\r\n" * 2000),
    "headers without a value": (HEAD, b"x:\r\n" * 2000),
    "interim answers": (b"", b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" * 300),
    "interim answers without headers": (b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 500),
    "an interim answer": (b"HTTP/1.1 103 Early Hints\r\nlink: ", PIECE),
    "a trailer": (CHUNKED + chunks(b"{}") + b"0\r\nx: ", PIECE),
    "trailers": (CHUNKED + chunks(b"{}") + b"0\r\n", b"x: y\r\n" * 2000),
    "a trailer's name": (CHUNKED + chunks(b"{}") + b"0\r\n", PIECE),
    "a trailer of a stream": (EVENTS + chunks(b"data: 1\n\n") + b"0\r\nx: ", PIECE),
    "an extension": (CHUNKED + b"2;x=", PIECE),
    "the extension of the last chunk": (CHUNKED + chunks(b"{}") + b"0;x=", PIECE),
    "the extension of a stream's chunk": (EVENTS + chunks(b"data: 1\n\n") + b"2;x=", PIECE),
}


@pytest.mark.parametrize("what", ENDLESS)
async def test_endless_bytes_outside_the_body_are_cut(what: str) -> None:
    begin, more = ENDLESS[what]
    line = Line()
    answer = line.ask()
    sent = 0
    if begin:
        line.says(begin)
    while not line.transport.is_closing():
        line.says(more)
        sent += len(more)
        assert sent < 3 * MAX_HEAD
    with pytest.raises(AttemptFailed) as failure:
        await read(await answer)
    assert isinstance(failure.value, BadAnswer)


async def test_so_many_headers_as_are_allowed_are_read() -> None:
    line = Line()
    answer = line.ask()
    head = JSON + b"x: y\r\n" * (MAX_HEADERS - 2)
    line.says(sized(b"{}", head))
    response = await answer
    assert response.body == b"{}"
    assert len(response.headers) == MAX_HEADERS


@pytest.mark.parametrize("begin", [CHUNKED, EVENTS])
async def test_a_long_body_in_parts_of_one_byte_holds_about_its_bytes(begin: bytes) -> None:
    line = Line()
    answer = line.ask()
    line.says(begin)
    part = chunks(*[b"x"] * 4000)
    tracemalloc.start()
    for _ in range(15):
        line.says(part)
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    line.says(b"0\r\n\r\n")
    assert await read(await answer) == b"x" * 60_000
    assert held < 400_000


async def test_a_large_body_with_a_small_trailer_is_whole() -> None:
    line = Line()
    answer = line.ask()
    line.says(CHUNKED, *[chunks(b"x" * 8000)] * 100, b"0\r\nx: y\r\n\r\n")
    assert len(await read(await answer)) == 800_000
