"""One exchange: the server's bytes, in any pieces, become the answer or a failure with its delivery."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.upstream.failures import AttemptFailed, BadAnswer, ConnectionLost
from mcppool.upstream.http.answer_reader import MAX_HEAD
from mcppool.upstream.http.connection import HOLD
from tests.unit.upstream.line import FORMS, JSON, Line, cut, read, sized
from tests.unit.upstream.transports import OK


@pytest.mark.parametrize("form", FORMS)
@given(places=st.lists(st.integers(0, 400), max_size=8))
@settings(max_examples=60, deadline=None)
def test_an_answer_is_the_same_in_whatever_pieces_it_comes(form: str, places: list[int]) -> None:
    async def check() -> None:
        line = Line()
        answer = line.ask()
        line.says(*cut(FORMS[form], places))
        response = await answer
        assert (response.status, response.whole, response.body) == (200, True, b'{"a":1}')
        assert response.content_type == b"application/json"
        assert response.header(b"x-late") is None
        assert response.header(b"link") is None
        line.connection.release()
        assert (line.owner.released, line.connection.closing) == (1, False)
        again = line.ask()
        line.says(OK)
        assert (await again).body == b"{}"
        line.transport.dispose()

    asyncio.run(check())


async def test_a_body_without_a_length_ends_with_the_connection() -> None:
    line = Line()
    answer = line.ask()
    line.says(b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n{}")
    assert not answer.done()
    await line.ends()
    assert (await answer).body == b"{}"
    line.connection.release()
    assert (line.owner.released, line.owner.closed) == (0, 1)


@pytest.mark.parametrize("error", [None, ConnectionResetError("reset")])
@pytest.mark.parametrize(
    ("sent", "answered"),
    [(b"", False), (b"HTTP/1.1 200 O", False), (sized(b"{}")[:-1], True), (FORMS["chunked"][:-2], True)],
)
async def test_an_answer_that_is_cut_short_is_lost(error: Exception | None, sent: bytes, answered: bool) -> None:
    line = Line()
    answer = line.ask()
    line.says(sent)
    await line.ends(error)
    with pytest.raises(ConnectionLost) as failure:
        await answer
    assert (failure.value.sent, failure.value.answered) == (True, answered)
    line.connection.release()
    assert line.owner.released == 0


async def test_a_body_without_a_length_that_was_reset_is_lost() -> None:
    line = Line()
    answer = line.ask()
    line.says(b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n{")
    await line.ends(ConnectionResetError("reset"))
    with pytest.raises(ConnectionLost):
        await answer


async def test_a_body_without_a_length_that_we_cut_ourselves_is_not_whole() -> None:
    line = Line()
    answer = line.ask()
    line.says(b"HTTP/1.0 200 OK\r\n" + JSON + b"\r\n" + b"x" * (HOLD + 1))
    response = await answer
    assert await response.next_chunk()
    line.connection.close()
    with pytest.raises(ConnectionLost):
        await response.next_chunk()


@pytest.mark.parametrize("extra", [OK, b"HTTP/1.1 408 Request Timeout\r\n\r\n", b"garbage", b"\x00"])
@pytest.mark.parametrize("together", [True, False])
async def test_unexpected_bytes_end_the_connection_and_not_the_answer(extra: bytes, together: bool) -> None:
    line = Line()
    answer = line.ask()
    line.says(*([OK + extra] if together else [OK, extra]))
    assert (await answer).body == b"{}"
    line.connection.release()
    assert line.connection.closing
    assert line.owner.released == 0


async def test_bytes_on_an_idle_connection_end_it() -> None:
    line = Line()
    line.says(OK)
    assert line.connection.closing
    await asyncio.sleep(0)
    assert line.owner.closed == 1


@pytest.mark.parametrize(
    "garbage", [b"\x00\x01\r\n\r\n", b"HTTP/9.9 200 OK\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"\r\n\r\nSSH-2.0\r\n"]
)
async def test_bytes_that_are_not_http_are_a_bad_answer(garbage: bytes) -> None:
    line = Line()
    answer = line.ask()
    line.says(garbage)
    with pytest.raises(BadAnswer):
        await answer
    assert line.connection.closing


async def test_switched_protocols_are_a_bad_answer() -> None:
    line = Line()
    answer = line.ask()
    line.says(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: h2c\r\nconnection: upgrade\r\n\r\n")
    with pytest.raises(BadAnswer):
        await answer


@pytest.mark.parametrize("head", [b"x-%d: " + b"y" * 1000 + b"\r\n", b"x-%d" + b"y" * 1000])
async def test_a_head_without_an_end_is_a_bad_answer(head: bytes) -> None:
    line = Line()
    answer = line.ask()
    line.says(b"HTTP/1.1 200 OK\r\n")
    for number in range(MAX_HEAD // 1000 + 2):
        line.says(head % number)
    with pytest.raises(BadAnswer):
        await answer


async def test_a_large_head_with_a_large_body_in_one_piece_is_served() -> None:
    line = Line()
    answer = line.ask()
    line.says(sized(b"x" * 3 * MAX_HEAD))
    assert await read(await answer) == b"x" * 3 * MAX_HEAD


async def test_the_end_that_a_server_announces_is_kept() -> None:
    line = Line()
    answer = line.ask()
    line.says(OK.replace(b"content-type", b"connection: close\r\ncontent-type"))
    assert (await answer).whole
    line.connection.release()
    assert (line.owner.released, line.connection.closing) == (0, True)


async def test_an_answer_that_is_not_read_to_its_end_costs_the_connection() -> None:
    line = Line()
    answer = line.ask()
    line.says(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n" % (JSON, HOLD + 2) + b"x" * (HOLD + 1))
    assert not (await answer).whole
    line.connection.release()
    assert (line.owner.released, line.connection.closing) == (0, True)


async def test_a_failure_without_a_waiter_is_not_logged() -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    line = Line()
    waiting = asyncio.ensure_future(_exchange(line))
    await asyncio.sleep(0)
    line.connection.expire()
    waiting.cancel()
    await asyncio.wait([waiting])
    del waiting, line
    await asyncio.sleep(0)
    assert not complaints


async def _exchange(line: Line) -> None:
    try:
        await line.ask()
    finally:
        line.connection.release()


async def test_a_request_on_a_connection_that_is_closed_fails_at_once() -> None:
    line = Line()
    line.connection.close()
    with pytest.raises(AttemptFailed):
        await line.ask()
    assert not line.transport.written
