"""One exchange: what a server sends, in whatever pieces, becomes the answer or a failure that says what is known."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.upstream.connection import HOLD, MAX_HEAD, STREAM_HIGH, Connection, Response
from mcppool.upstream.failures import AttemptFailed, BadAnswer, ConnectionLost, Hung, TimedOut
from tests.unit.upstream.transports import OK, FakeTransport

LATER = float("inf")
JSON = b"content-type: application/json\r\n"
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"


class Owner:
    """Notes what becomes of its connection."""

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
        return self.connection.request(b"GET / HTTP/1.1\r\n\r\n", now, LATER, 60.0, LATER, **options)

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


async def read(response: Response) -> bytes:
    if response.whole:
        return response.body
    body = b""
    while chunk := await response.next_chunk():
        body += chunk
    return body


def cut(data: bytes, places: Sequence[int]) -> list[bytes]:
    marks = sorted({place % (len(data) + 1) for place in places})
    return [data[a:b] for a, b in zip([0, *marks], [*marks, len(data)], strict=True) if a < b]


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
async def test_bytes_that_nobody_asked_for_end_the_connection_and_not_the_answer(extra: bytes, together: bool) -> None:
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
async def test_what_is_not_http_is_a_bad_answer(garbage: bytes) -> None:
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


async def test_a_large_head_with_a_large_body_in_one_piece_is_none_the_worse() -> None:
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


async def test_an_answer_that_nobody_reads_to_its_end_costs_the_connection() -> None:
    line = Line()
    answer = line.ask()
    line.says(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n" % (JSON, HOLD + 2) + b"x" * (HOLD + 1))
    assert not (await answer).whole
    line.connection.release()
    assert (line.owner.released, line.connection.closing) == (0, True)


async def test_a_failure_that_nobody_waits_for_any_more_is_no_complaint() -> None:
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


# --- streams ---------------------------------------------------------------------------------------------------------


async def test_a_stream_is_handed_over_with_its_first_part_and_read_to_its_end() -> None:
    line = Line()
    answer = line.ask()
    line.says(EVENTS)
    assert not answer.done()
    line.says(chunks(b"data: 1\n\n"))
    response = await answer
    assert not response.whole
    assert await response.next_chunk() == b"data: 1\n\n"
    line.says(chunks(b"data: 2\n\n"), chunks(b"data: 3\n\n"), b"0\r\n\r\n")
    assert await response.next_chunk() == b"data: 2\n\ndata: 3\n\n"
    assert await response.next_chunk() == b""
    line.connection.release()
    assert line.owner.released == 1


async def test_a_stream_that_is_wanted_early_is_there_with_its_head() -> None:
    line = Line()
    answer = line.ask(early=True)
    line.says(EVENTS)
    response = await answer
    assert (response.status, response.whole) == (200, False)
    assert line.connection.deadline == LATER
    reading = asyncio.ensure_future(response.next_chunk())
    await asyncio.sleep(0)
    line.says(chunks(b": ping\n\n"))
    assert await reading == b": ping\n\n"


async def test_what_is_wanted_early_and_is_no_stream_comes_whole() -> None:
    line = Line()
    answer = line.ask(early=True)
    line.says(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 2\r\n\r\nno")
    assert ((await answer).status, (await answer).body) == (405, b"no")


async def test_a_stream_that_breaks_gives_what_has_come_and_then_says_so() -> None:
    line = Line()
    answer = line.ask()
    line.says(EVENTS + chunks(b"data: 1\n\n"))
    response = await answer
    await line.ends(ConnectionResetError("reset"))
    assert await response.next_chunk() == b"data: 1\n\n"
    with pytest.raises(ConnectionLost) as failure:
        await response.next_chunk()
    assert failure.value.answered


async def test_a_stream_whose_reader_is_slow_is_not_read_on() -> None:
    line = Line()
    answer = line.ask()
    line.says(EVENTS + chunks(b"x"))
    response = await answer
    sent = 1
    while line.transport.reading:
        line.says(chunks(b"y" * 65536))
        sent += 65536
        assert sent < 2 * STREAM_HIGH
    assert len(await response.next_chunk()) == sent
    assert line.transport.reading, "and it is read on when there is room again"


async def test_a_connection_that_was_paused_is_read_when_it_is_used_again() -> None:
    line = Line()
    answer = line.ask()
    line.says(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n" % (JSON, 4 * STREAM_HIGH))
    for _ in range(64):
        line.says(b"x" * (STREAM_HIGH // 16))  # as much as was under way when the reading was paused
    assert not (await answer).whole
    assert not line.transport.reading
    line.connection.release()
    assert line.transport.reading


async def test_a_silent_stream_ends_and_says_that_it_was_silent() -> None:
    line = Line()
    now = monotonic()
    answer = line.connection.request(b"x", now, now + 5, 60.0, now + 600)
    line.says(EVENTS + chunks(b"data: 1\n\n"))
    response = await answer
    assert line.connection.deadline == pytest.approx(monotonic() + 60, abs=1)
    line.connection.expire()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await response.next_chunk()
    with pytest.raises(TimedOut) as failure:
        await response.next_chunk()
    assert failure.value.answered


@pytest.mark.parametrize("begun", [b"", EVENTS, FORMS["sized"][:-1]])
async def test_an_answer_that_does_not_come_in_time_says_whether_it_had_begun(begun: bytes) -> None:
    line = Line()
    answer = line.ask()
    line.says(begun)
    line.connection.expire()
    with pytest.raises(TimedOut) as failure:
        await answer
    assert failure.value.delivered == ("yes" if begun else "unknown")


async def test_an_answer_that_trickles_has_time_as_long_as_it_goes_on() -> None:
    line = Line()
    now = monotonic() - 4.9  # a little before its first byte would be late
    answer = line.connection.request(b"x", now, now + 5, 60.0, now + 600)
    line.says(b"HTTP/1.1 200 OK\r\n%bcontent-length: 3\r\n\r\n" % JSON, b"{")
    assert line.connection.deadline == pytest.approx(monotonic() + 5, abs=0.5)
    line.says(b" }")
    assert (await answer).body == b"{ }"


async def test_a_whole_answer_has_no_deadline_any_more() -> None:
    line = Line()
    now = monotonic()
    answer = line.connection.request(b"x", now, now + 5, 60.0, now + 600)
    line.says(EVENTS + chunks(b"data: 1\n\n") + b"0\r\n\r\n")
    await answer
    assert line.connection.deadline == LATER


# --- moving away -----------------------------------------------------------------------------------------------------


async def test_a_call_that_may_move_leaves_a_server_that_hangs() -> None:
    line = Line()
    answer = line.ask(movable=True)
    line.connection.move()
    with pytest.raises(Hung):
        await answer
    assert line.connection.closing


@pytest.mark.parametrize("held", [b"HTTP/1.1 100 Continue\r\n\r\n", EVENTS, FORMS["sized"][:-1]])
async def test_a_call_whose_answer_has_begun_may_move_while_all_of_it_is_held(held: bytes) -> None:
    line = Line()
    answer = line.ask(movable=True)
    line.says(held)
    assert line.connection.waiting_since < LATER, "it may still have to be asked whether the server hangs"
    line.connection.move()
    with pytest.raises(Hung) as failure:
        await answer
    assert failure.value.delivered == "yes", "who answers has the request"
    assert line.connection.closing


@pytest.mark.parametrize("passed_on", [b"", EVENTS + chunks(b"data: 1\n\n")])
async def test_a_call_that_may_not_move_or_of_whose_answer_its_reader_has_a_part_stays(passed_on: bytes) -> None:
    line = Line()
    answer = line.ask(movable=bool(passed_on))
    line.says(passed_on)
    line.connection.move()
    assert not line.connection.closing
    assert not (answer.done() and answer.exception())


async def test_a_request_on_a_connection_that_is_closed_fails_at_once() -> None:
    line = Line()
    line.connection.close()
    with pytest.raises(AttemptFailed):
        await line.ask()
    assert not line.transport.written
