"""Clients that disconnect before their answer has come."""

from __future__ import annotations

import pytest

from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.connection_state import (
    CLOSED,
    ENDING,
    NEVER,
    OUTLIVES_CLIENT,
)
from mcppool.gateway.http.http_request import HttpRequest
from tests.unit.gateway.http.calls import EMPTY, EVENTS, HEAD, WITH_BODY, Gate, post, turn
from tests.unit.gateway.http.driving import Wire


async def test_a_client_that_goes_cancels_its_call() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(post(b"/1") + post(b"/2"))
    await turn()
    wire.transport.close()
    await turn()
    assert (gate.cancelled, gate.targets) == (1, [b"/1"])
    assert wire.connections == set()
    assert wire.shared.detached == set()


async def test_a_detached_call_goes_on_without_its_client() -> None:
    gate = Gate()
    gate.lifetime = OUTLIVES_CLIENT
    wire = Wire(gate)
    wire.connection.data_received(EMPTY)
    await turn()
    wire.transport.close()
    await turn()
    assert len(wire.shared.detached) == 1
    await gate.open()
    assert (gate.finished, gate.cancelled) == (1, 0)
    assert wire.shared.detached == set()
    assert wire.said == b""


async def test_a_detached_call_ends_with_its_client_if_the_client_can_resume_its_stream() -> None:
    gate = Gate()
    gate.lifetime = OUTLIVES_CLIENT
    wire = Wire(gate)
    wire.connection.data_received(EMPTY)
    await turn()
    wire.connection.response.resumable()
    wire.transport.close()
    await turn()
    assert gate.cancelled == 1
    assert wire.shared.detached == set()


@pytest.mark.parametrize("last", ["nothing", "a stream without an end", "an answer that is cut"])
async def test_a_call_that_may_outlive_its_client_and_cuts_the_connection_leaves_no_task(last: str) -> None:
    async def cut(request: HttpRequest, connection: HttpConnection) -> None:
        connection.lifetime = OUTLIVES_CLIENT
        if last == "a stream without an end":
            connection.response.begin(200, EVENTS)
        elif last == "an answer that is cut":
            connection.response.whole(200, b"", b"")
            connection.response.abort()

    wire = Wire(cut)
    wire.connection.data_received(EMPTY)
    await turn()
    assert wire.transport.aborted
    assert wire.connection.state is CLOSED
    assert (wire.shared.detached, wire.connections) == (set(), set())


async def test_a_client_that_goes_while_its_call_is_cut_gets_no_last_words() -> None:
    gate = Gate()
    wire = Wire(gate)
    wire.connection.data_received(EMPTY)
    await turn()
    wire.connection.cut()
    assert wire.connection.state is ENDING
    wire.connection.connection_lost(None)
    await turn()
    assert (gate.cancelled, wire.said) == (1, b"")
    assert wire.shared.detached == set()


async def test_a_client_that_goes_in_the_middle_of_a_request_leaves_nothing_behind() -> None:
    for part in (b"", b"PO", HEAD, WITH_BODY + b"x"):
        wire = Wire()
        if part:
            wire.connection.data_received(part)
        wire.transport.close()
        await turn()
        assert wire.connections == set()
        assert wire.requests == []
        assert wire.connection.deadline == NEVER


async def test_bytes_of_an_unfinished_request_are_given_back_when_the_client_goes() -> None:
    wire = Wire(max_body=1 << 20)
    wire.connection.data_received(HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 500_000)
    assert wire.connection.usage.address.held >= 500_000
    wire.transport.close()
    await turn()
    assert wire.connection.usage.address.held == wire.shared.limits.bodies.used == 0
