"""One connection in each of its states: queues, the clock, slow clients, vanishing clients, the end."""

from __future__ import annotations

import pytest

from mcppool.gateway.http.connection_state import (
    IDLE,
    NEVER,
    OUTLIVES_CLIENT,
    READING_BODY,
    READING_HEAD,
    ClientConnectionState,
)
from tests.unit.gateway.http.calls import EMPTY, HEAD, WITH_BODY, Gate, has_just_entered, late, post, turn
from tests.unit.gateway.http.driving import Wire


async def test_pipelined_requests_are_answered_one_at_a_time_and_in_order() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + post(b"/2") + post(b"/3"))
    await turn()
    assert gate.targets == [b"/1"]
    assert wire.transport.paused, "nothing more is read while one waits"
    for _ in range(3):
        await gate.open()
    assert gate.targets == [b"/1", b"/2", b"/3"]
    assert wire.said.index(b"/1") < wire.said.index(b"/2") < wire.said.index(b"/3")
    assert not wire.transport.paused


async def test_garbage_behind_a_call_is_answered_after_it() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + b"\x00\x01 nonsense \r\n\r\n" * 40_000)
    await turn()
    assert wire.statuses == []
    await gate.open()
    assert wire.statuses == [200, 400]
    assert wire.metrics.malformed == {"not_http": 1}


async def test_nothing_is_read_behind_a_request_that_was_the_last() -> None:
    wire = Wire()
    await wire.say(HEAD + b"Connection: close\r\n\r\n" + post(b"/2"))
    assert [request.target for request in wire.requests] == [b"/mcp"]
    assert wire.transport.gone
    assert b"connection: close\r\n" in wire.said
    assert wire.metrics.malformed == {}


async def test_an_idle_connection_is_closed_in_silence() -> None:
    wire = Wire()
    assert has_just_entered(wire, IDLE)
    late(wire)
    assert wire.transport.gone
    assert wire.said == b""


@pytest.mark.parametrize(
    ("beginning", "state"), [(HEAD, READING_HEAD), (WITH_BODY + b"x", READING_BODY)], ids=["head", "body"]
)
async def test_a_request_that_drips_in_is_refused_in_time(beginning: bytes, state: ClientConnectionState) -> None:
    wire = Wire()
    wire.connection.data_received(beginning)
    deadline = wire.connection.deadline
    assert has_just_entered(wire, state)
    wire.connection.data_received(b"X")
    assert wire.connection.deadline == deadline, "a byte does not buy time"
    late(wire)
    assert wire.statuses == [408]
    assert wire.metrics.malformed == {"timeout": 1}
    late(wire)
    assert wire.transport.aborted


async def test_a_call_has_no_deadline_here_and_a_dripping_next_request_does_not_end_it() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + WITH_BODY + b"x")
    assert wire.connection.deadline == NEVER
    await turn()
    await gate.open()
    assert wire.statuses == [200]
    assert has_just_entered(wire, READING_BODY)


async def test_a_drain_closes_the_idle_and_serves_the_rest_once_more() -> None:
    idle, kept, late_one = Wire(), Wire(), Wire()
    kept.connection.data_received(HEAD)
    for wire in (idle, kept, late_one):
        wire.shared.draining = True
    idle.connection.shut()
    kept.connection.shut()
    assert (idle.transport.gone, kept.transport.gone) == (True, False)
    await kept.say(b"\r\n")
    await late_one.say(EMPTY)
    for wire in (kept, late_one):
        assert wire.statuses == [200]
        assert b"connection: close\r\n" in wire.said
        assert wire.transport.gone


async def test_a_drain_answers_all_that_was_pipelined() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + post(b"/2"))
    await turn()
    wire.shared.draining = True
    wire.connection.shut()
    await gate.open()
    assert b"connection: close" not in wire.said
    await gate.open()
    assert wire.statuses == [200, 200]
    assert wire.said.count(b"connection: close") == 1
    assert wire.transport.gone


async def test_a_call_that_is_cut_has_last_words() -> None:
    gate = Gate()
    gate.lifetime = OUTLIVES_CLIENT
    wire = Wire(gate)
    wire.connection.data_received(EMPTY)
    await turn()
    wire.shared.draining = True
    wire.connection.cut()
    await turn()
    assert wire.said.endswith(b"last words")
    assert (wire.transport.gone, wire.transport.aborted) == (True, False)
