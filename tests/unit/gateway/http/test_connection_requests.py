"""One connection and its requests: versions, methods, `100 Continue`, limits, refusals."""

from __future__ import annotations

import pytest

from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.validation import MAX_HEAD, MAX_HEADERS
from tests.unit.gateway.http.calls import EMPTY, EVENTS, HEAD, Gate, late, post, turn
from tests.unit.gateway.http.driving import Wire


async def test_http_1_0_gets_a_whole_answer_and_the_end_of_the_connection() -> None:
    async def answer(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.whole(200, b"", b"hello")

    wire = Wire(answer)
    await wire.say(b"POST /mcp HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\nx")
    assert wire.said == b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello"
    assert wire.transport.gone


async def test_http_1_0_gets_a_stream_that_ends_with_the_connection() -> None:
    async def stream(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.begin(200, EVENTS)
        connection.response.write(b"data: 1\n\n")
        connection.response.end()

    wire = Wire(stream)
    await wire.say(b"POST /mcp HTTP/1.0\r\n\r\n")
    assert wire.said == b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\ndata: 1\n\n"
    assert wire.transport.gone


async def test_the_answer_to_head_has_no_body_and_the_next_request_works() -> None:
    async def answer(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.whole(405, b"allow: POST\r\n", b"not here")

    wire = Wire(answer)
    await wire.say(b"HEAD /mcp HTTP/1.1\r\nHost: a\r\n\r\n")
    assert wire.said == b"HTTP/1.1 405 Method Not Allowed\r\nallow: POST\r\ncontent-length: 8\r\n\r\n"
    await wire.say(EMPTY)
    assert wire.said.endswith(b"not here")


async def test_an_upgrade_is_ignored_and_its_body_is_read() -> None:
    wire = Wire()
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMA\r\n"
    await wire.say(HEAD + upgrade + b"Content-Length: 5\r\n\r\nhello" + post(b"/2"))
    assert [(request.target, request.body) for request in wire.requests] == [(b"/mcp", b"hello"), (b"/2", b"")]
    assert wire.statuses == [200, 200]


async def test_an_unknown_status_is_passed_on() -> None:
    async def answer(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.whole(499, b"", b"")

    wire = Wire(answer)
    await wire.say(EMPTY)
    assert wire.said == b"HTTP/1.1 499 \r\ncontent-length: 0\r\n\r\n"


async def test_a_client_that_waits_for_100_continue_gets_it_once() -> None:
    wire = Wire()
    wire.connection.data_received(HEAD + b"Content-Length: 5\r\nExpect: 100-Continue\r\n\r\n")
    assert wire.said == b"HTTP/1.1 100 Continue\r\n\r\n"
    await wire.say([b"he", b"llo"])
    assert wire.statuses == [100, 200]


async def test_it_gets_it_in_its_turn() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    await turn()
    assert wire.statuses == []
    await gate.open()
    assert wire.statuses == [200, 100]


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent() -> None:
    wire = Wire(max_body=10)
    wire.connection.data_received(HEAD + b"Content-Length: 11\r\nExpect: 100-continue\r\n\r\n")
    assert wire.statuses == [413]
    assert wire.metrics.malformed == {"body_too_large": 1}


@pytest.mark.parametrize("size", [1, 4096, 1 << 20], ids=["byte by byte", "in packets", "at once"])
async def test_a_head_over_the_limit_is_refused_however_it_arrives(size: int) -> None:
    data = HEAD + b"X: " + b"x" * MAX_HEAD + b"\r\n\r\n"
    wire = Wire()
    await wire.say([data[at : at + size] for at in range(0, len(data), size)])
    assert wire.requests == []
    assert wire.metrics.malformed == {"head_too_large": 1}
    assert wire.statuses == [431]


async def test_more_headers_than_the_limit_are_refused() -> None:
    wire = Wire()
    await wire.say(HEAD + b"X: y\r\n" * MAX_HEADERS + b"\r\n")
    assert wire.statuses == [431]


async def test_a_chunked_body_over_the_limit_is_refused() -> None:
    wire = Wire(max_body=10)
    await wire.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n6\r\nabcdef\r\n6\r\nabcdef\r\n0\r\n\r\n")
    assert (wire.requests, wire.statuses) == ([], [413])


async def test_chunks_that_are_mostly_framing_are_refused() -> None:
    wire = Wire(max_body=1 << 20)
    await wire.say([HEAD + b"Transfer-Encoding: chunked\r\n\r\n", *[b"1;" + b"x" * 1000 + b"\r\ny\r\n"] * 100])
    assert wire.requests == []
    assert wire.metrics.malformed == {"chunk_overhead": 1}


async def test_single_byte_chunks_are_not() -> None:
    wire = Wire(max_body=1 << 20)
    await wire.say(HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\ny\r\n" * 20_000 + b"0\r\n\r\n")
    assert [len(request.body) for request in wire.requests] == [20_000]


async def test_further_bytes_of_a_refused_client_are_discarded() -> None:
    wire = Wire(max_body=10)
    await wire.say([HEAD + b"Content-Length: 100000\r\n\r\n", *[b"x" * 1000] * 100])
    assert wire.statuses == [413]
    assert wire.transport.eof, "we have said all"
    assert not wire.transport.gone, "closing now would reset the connection under the answer"
    late(wire)
    assert wire.transport.aborted


async def test_where_a_side_cannot_be_ended_alone_the_connection_is_closed() -> None:
    wire = Wire(half_closes=False)
    await wire.say(b"\x00")
    assert (wire.statuses, wire.transport.gone) == ([400], True)


async def test_a_defect_is_answered_with_500_and_the_connection_goes_on() -> None:
    async def defect(request: HttpRequest, connection: HttpConnection) -> None:
        if request.target == b"/bad":
            raise RuntimeError("a defect")
        connection.response.whole(200, b"", b"")

    wire = Wire(defect)
    await wire.say(post(b"/bad") + post(b"/good"))
    assert wire.statuses == [500, 200]
