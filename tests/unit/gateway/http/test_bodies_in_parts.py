"""Bodies of requests that come in many parts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mcppool.gateway.http.client_caps import UNLIMITED
from mcppool.gateway.http.connection_state import (
    MIN_RECEIVED,
    READING_BODY,
)
from tests.unit.gateway.http.calls import EMPTY, HEAD, Gate, has_just_entered, late, turn
from tests.unit.gateway.http.driving import Wire
from tests.waiting import until


async def test_a_large_body_may_take_its_time_as_long_as_it_comes() -> None:
    size = 3 * MIN_RECEIVED
    wire = Wire(max_body=size)
    wire.connection.data_received(HEAD + b"Content-Length: %d\r\n\r\n" % size)
    for _ in range(2):
        wire.connection.data_received(b"x" * MIN_RECEIVED)
        late(wire)
        assert has_just_entered(wire, READING_BODY)
    wire.connection.data_received(b"x" * 1000)
    late(wire)
    assert wire.statuses == [408]
    assert wire.shared.limits.bodies.used == wire.connection.usage.address.held == 0


@pytest.mark.parametrize("pieces", [1, 10])
async def test_a_body_is_charged_until_its_call_is_over(pieces: int) -> None:
    gate = Gate()
    wire = Wire(gate, max_body=1 << 20)
    data = HEAD + b"Content-Length: 500000\r\n\r\n" + b"x" * 500_000
    step = len(data) // pieces + 1
    for at in range(0, len(data), step):
        wire.connection.data_received(data[at : at + step])
    await turn()
    assert wire.shared.limits.bodies.used >= 500_000
    await gate.open()
    assert wire.statuses == [200]
    assert wire.shared.limits.bodies.used == wire.connection.usage.address.held == 0


async def test_chunks_of_one_connection_are_read_in_turns() -> None:
    wire = Wire(max_body=16 << 20)
    wire.connection.data_received(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    wire.connection.data_received(b"1\r\nx\r\n" * 1_000_000)
    assert wire.transport.paused
    other = wire.another()
    other.connection.data_received(EMPTY)
    await turn()
    assert other.statuses == [200]
    assert wire.transport.paused, "there is more to read, and the other one had its turn meanwhile"
    await until(lambda: not wire.transport.paused, "all is read")
    wire.connection.data_received(b"0\r\n\r\n")
    await turn()
    assert [len(request.body) for request in wire.requests] == [0, 1_000_000], "of both connections"


async def test_bodies_that_are_thrown_away_are_read_slowly_and_to_their_end() -> None:
    caps = replace(UNLIMITED, memory_per_client=1000)
    wires = [Wire(max_body=1 << 20, caps=caps)]
    wires += [wires[0].another() for _ in range(3)]
    for wire in wires:
        wire.connection.data_received(HEAD + b"Content-Length: 200000\r\n\r\n" + b"x" * 100_000)
        assert wire.transport.paused
    wires[0].transport.close()
    for wire in wires[1:]:
        await until(lambda wire=wire: not wire.transport.paused, "its turn comes")  # type: ignore[misc]
        wire.connection.data_received(b"x" * 100_000)
        await turn()
        assert wire.statuses == [200], "as its handler says, which is told that the body is lost"
    assert [request.lost for request in wires[0].requests] == [True] * 3
