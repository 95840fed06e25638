"""Answers that come bit by bit: handed over early, read as fast as they are taken, abandoned if a server hangs."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from mcppool.upstream.failures import ConnectionLost, Hung, TimedOut
from mcppool.upstream.http.connection import STREAM_HIGH
from tests.unit.upstream.line import EVENTS, FORMS, JSON, LATER, Line, ask, chunks


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


@pytest.mark.parametrize("behind", [b"oh", EVENTS + chunks(b"data: 2\n\n")])
async def test_the_reader_of_a_stream_hears_of_its_end_whatever_comes_behind_it(behind: bytes) -> None:
    line = Line()
    answer = line.ask()
    line.says(EVENTS + chunks(b"data: 1\n\n"))
    response = await answer
    assert await response.next_chunk() == b"data: 1\n\n"
    rest = asyncio.ensure_future(response.next_chunk())
    await asyncio.sleep(0)
    line.says(b"0\r\n\r\n" + behind)
    assert line.transport.is_closing()
    async with asyncio.timeout(60):
        assert await rest == b""
    line.connection.release()
    assert line.owner.released == 0


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


async def test_an_early_answer_that_is_no_stream_comes_whole() -> None:
    line = Line()
    answer = line.ask(early=True)
    line.says(b"HTTP/1.1 405 Method Not Allowed\r\ncontent-length: 2\r\n\r\nno")
    assert ((await answer).status, (await answer).body) == (405, b"no")


async def test_a_broken_stream_gives_its_received_parts_and_then_raises() -> None:
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
    assert not line.transport.reading, "its reader passes these parts on first"
    following = asyncio.ensure_future(response.next_chunk())
    await asyncio.sleep(0)
    assert line.transport.reading, "and it is read on when its reader waits for more"
    line.says(chunks(b"z"))
    assert await following == b"z"


async def test_a_connection_that_was_paused_is_read_when_it_is_used_again() -> None:
    line = Line()
    answer = line.ask()
    line.says(b"HTTP/1.1 200 OK\r\n%bcontent-length: %d\r\n\r\n" % (JSON, 4 * STREAM_HIGH))
    for _ in range(64):
        line.says(b"x" * (STREAM_HIGH // 16))  # the bytes in transit when the reading was paused
    assert not (await answer).whole
    assert not line.transport.reading
    line.connection.release()
    assert line.transport.reading


async def test_a_silent_stream_ends_with_its_reason() -> None:
    line = Line()
    now = monotonic()
    answer = ask(line.connection, b"x", now, now + 5, 60.0, now + 600)
    line.says(EVENTS + chunks(b"data: 1\n\n"))
    response = await answer
    assert now + 60 <= line.connection.deadline <= monotonic() + 60
    line.connection.expire()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert await response.next_chunk()
    with pytest.raises(TimedOut) as failure:
        await response.next_chunk()
    assert failure.value.answered


@pytest.mark.parametrize("begun", [b"", EVENTS, FORMS["sized"][:-1]])
async def test_a_late_answer_is_reported_with_whether_it_had_begun(begun: bytes) -> None:
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
    answer = ask(line.connection, b"x", now, now + 5, 60.0, now + 600)
    before = monotonic()
    line.says(b"HTTP/1.1 200 OK\r\n%bcontent-length: 3\r\n\r\n" % JSON, b"{")
    assert before + 5 <= line.connection.deadline <= monotonic() + 5
    line.says(b" }")
    assert (await answer).body == b"{ }"


async def test_a_whole_answer_has_no_deadline_any_more() -> None:
    line = Line()
    now = monotonic()
    answer = ask(line.connection, b"x", now, now + 5, 60.0, now + 600)
    line.says(EVENTS + chunks(b"data: 1\n\n") + b"0\r\n\r\n")
    await answer
    assert line.connection.deadline == LATER


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
async def test_a_call_stays_if_it_may_not_move_or_its_reader_has_a_part_of_the_answer(passed_on: bytes) -> None:
    line = Line()
    answer = line.ask(movable=bool(passed_on))
    line.says(passed_on)
    line.connection.move()
    assert not line.connection.closing
    assert not (answer.done() and answer.exception())
