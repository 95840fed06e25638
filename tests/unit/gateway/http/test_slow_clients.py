"""Clients that take their answers slowly, or not at all."""

from __future__ import annotations

import pytest

from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.connection_state import (
    CLOSING,
    IDLE,
    NEVER,
    READING_BODY,
)
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.send_buffer import MIN_TAKEN, MIN_TAKEN_SHARE, STALLED
from mcppool.policy.memory_budget import MemoryBudget
from tests.unit.gateway.http.calls import EMPTY, EVENTS, HEAD, Gate, has_just_entered, late, post, turn
from tests.unit.gateway.http.driving import Wire


async def test_a_client_that_takes_next_to_nothing_is_cut_off_and_a_slow_one_is_not() -> None:
    wire = Wire(Gate())
    wire.connection.data_received(EMPTY)
    await turn()
    wire.transport.backlog = 1_000_000
    wire.connection.pause_writing()
    wire.transport.backlog -= MIN_TAKEN
    late(wire)
    assert not wire.transport.gone, "it has taken some"
    wire.transport.backlog -= 100
    late(wire)
    assert wire.transport.aborted, "a byte now and then is not taking an answer"


async def test_a_large_answer_is_to_be_taken_faster_than_a_small_one() -> None:
    wire = Wire(Gate())
    wire.connection.data_received(EMPTY)
    await turn()
    wire.transport.backlog = 64 << 20
    wire.connection.pause_writing()
    wire.transport.backlog -= (64 << 20) // MIN_TAKEN_SHARE
    late(wire)
    assert not wire.transport.gone
    wire.transport.backlog -= MIN_TAKEN
    late(wire)
    assert wire.transport.aborted, "it would take a day"


async def test_no_request_is_read_while_answers_wait_to_be_taken() -> None:
    """A client that only asks would fill our memory with its answers."""

    async def large(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.whole(200, b"", b"x" * 100_000)
        wire.transport.backlog = 100_000
        connection.pause_writing()

    wire = Wire(large)
    asked = 0
    while not wire.transport.paused:
        wire.connection.data_received(post(b"/next") * 10)
        asked += 10
        assert asked < 10_000
        await turn()
    assert wire.statuses == [200]
    assert wire.connection.held == wire.shared.answers.used == 100_000
    for answered in range(1, asked):
        wire.transport.backlog = 0
        wire.connection.resume_writing()
        await wire.settle(lambda answered=answered: len(wire.statuses) > answered)
        assert len(wire.statuses) == answered + 1, "one more answer has been taken, so one more request is read"
    wire.transport.close()
    await turn()
    assert wire.shared.answers.used == 0


@pytest.mark.parametrize("last", ["a refusal", "the word to go on"])
async def test_no_comments_are_written_while_answers_wait_either(last: str) -> None:
    async def large(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.whole(200, b"", b"x" * 100_000)
        connection.pause_writing()

    wire = Wire(large)
    more = b"garbage\r\n\r\n" if last == "a refusal" else HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n"
    wire.connection.data_received(EMPTY + more)
    await turn()
    assert wire.statuses == [200]
    wire.connection.resume_writing()
    await turn()
    assert wire.statuses == [200, 400 if last == "a refusal" else 100]


async def test_while_memory_is_full_only_stalled_clients_are_cut() -> None:
    memory = MemoryBudget(100 << 20, base=50 << 20)
    stalled = Wire(Gate(), memory=memory)
    taking = stalled.another()
    for wire in (stalled, taking):
        wire.connection.data_received(EMPTY)
        await turn()
        wire.connection._buffer.write(b"x" * (1 << 20))
        wire.transport.backlog = 1 << 20
        wire.connection.pause_writing()
    for _ in range(2 * STALLED):
        taking.transport.backlog -= 1000
        stalled.sweep(0.0)
    assert not stalled.transport.gone, "there is memory"
    memory.watch(101 << 20)
    for _ in range(2 * STALLED):
        taking.transport.backlog -= 1000
        stalled.sweep(0.0)
    assert stalled.transport.aborted
    assert not taking.transport.gone
    assert stalled.metrics.turned_away == {"unread_answer": 1}


async def test_a_stream_waits_for_its_client() -> None:
    steps: list[str] = []

    async def stream(request: HttpRequest, connection: HttpConnection) -> None:
        connection.response.begin(200, EVENTS)
        connection.response.write(b"one")
        await connection.response.drain()
        steps.append("drained")
        connection.response.end()

    wire = Wire(stream)
    wire.connection.data_received(EMPTY)
    wire.connection.pause_writing()
    await turn()
    assert steps == []
    wire.connection.resume_writing()
    await turn()
    assert steps == ["drained"]
    assert wire.said.endswith(b"3\r\none\r\n0\r\n\r\n")
    assert has_just_entered(wire, IDLE)


async def test_a_closing_connection_does_not_wait_forever_for_its_client() -> None:
    wire = Wire()
    wire.connection.data_received(HEAD + b"Connection: close\r\n\r\n")
    wire.transport.gone = False
    wire.transport.close = lambda: None  # type: ignore[method-assign]  # unsent bytes keep it open
    await turn()
    assert wire.connection.deadline < NEVER


async def test_a_closing_connection_lasts_as_long_as_its_client_takes_the_answer() -> None:
    wire = Wire()
    wire.transport.close = lambda: None  # type: ignore[method-assign]  # unsent bytes keep it open
    wire.transport.backlog = 1_000_000
    wire.connection.data_received(HEAD + b"Connection: close\r\n\r\n")
    await turn()
    assert has_just_entered(wire, CLOSING)
    wire.transport.backlog -= MIN_TAKEN
    late(wire)
    assert has_just_entered(wire, CLOSING)
    assert not wire.transport.aborted
    late(wire)
    assert wire.transport.aborted, "the client has taken nothing since"


async def test_a_body_is_awaited_again_once_the_client_has_read_100_continue() -> None:
    wire = Wire()
    write = wire.transport.write

    def fill(data: bytes | bytearray | memoryview) -> None:
        write(data)
        wire.connection.pause_writing()

    wire.transport.write = fill  # type: ignore[method-assign]
    wire.connection.data_received(HEAD + b"Content-Length: 5\r\nExpect: 100-continue\r\n\r\n")
    wire.transport.write = write  # type: ignore[method-assign]
    assert wire.statuses == [100]
    wire.connection.resume_writing()
    assert has_just_entered(wire, READING_BODY)
    await wire.say(b"hello")
    assert [request.body for request in wire.requests] == [b"hello"]
    assert wire.statuses == [100, 200]
