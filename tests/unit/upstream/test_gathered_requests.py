"""A request that waits for the end of its turn has reached no server."""

from __future__ import annotations

import asyncio
from time import monotonic

import pytest

from mcppool.upstream.failures import AttemptFailed, NotWritten
from mcppool.upstream.http.response import Response
from tests.gathering import gather_writes
from tests.unit.upstream.line import LATER, Line, ask, sized

REQUEST = b"GET / HTTP/1.1\r\n\r\n"


def asked() -> tuple[Line, asyncio.Future[Response]]:
    line = Line()
    gather_writes()
    return line, ask(line.connection, REQUEST, monotonic(), LATER, 60.0, LATER)


async def test_a_request_is_written_at_the_end_of_the_turn() -> None:
    line, answer = asked()
    assert line.transport.written == []
    await asyncio.sleep(0)
    assert line.transport.written == [REQUEST]
    line.says(sized(b"{}"))
    assert (await answer).body == b"{}"


async def test_a_call_fails_as_not_delivered_if_the_connection_ends_before() -> None:
    line, answer = asked()
    line.transport.lose(None)
    with pytest.raises(NotWritten) as failed:
        await answer
    assert failed.value.delivered == "no"
    assert line.transport.written == []


async def test_bytes_that_come_before_the_request_is_written_are_not_its_answer() -> None:
    line, answer = asked()
    line.says(sized(b'"of another call"'))
    with pytest.raises(NotWritten) as failed:
        await answer
    assert failed.value.delivered == "no"
    assert line.connection.closing
    await asyncio.sleep(0)
    assert line.transport.written == []


async def test_a_call_whose_connection_ends_after_the_write_may_have_been_delivered() -> None:
    line, answer = asked()
    await asyncio.sleep(0)
    line.transport.lose(None)
    with pytest.raises(AttemptFailed) as failed:
        await answer
    assert failed.value.delivered == "unknown"


async def test_a_request_of_a_closed_connection_is_not_written() -> None:
    line, answer = asked()
    line.connection.close()
    with pytest.raises(NotWritten):
        await answer
    assert line.transport.written == []
