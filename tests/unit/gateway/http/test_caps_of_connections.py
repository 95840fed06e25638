"""Caps on the connections of one client, and of all."""

from __future__ import annotations

from dataclasses import replace

from mcppool.gateway.http.client_caps import UNLIMITED
from mcppool.gateway.http.connection import CROWDED_IDLE
from mcppool.gateway.http.connection_state import (
    IDLE_TIMEOUT,
)
from tests.unit.gateway.http.calls import EMPTY, Gate, turn
from tests.unit.gateway.http.driving import Wire


async def test_one_client_cannot_have_all_connections() -> None:
    caps = replace(UNLIMITED, connections=5, connections_per_client=2)
    first = Wire(caps=caps, peer="10.0.0.1")
    second, third = first.another("10.0.0.1"), first.another("::ffff:10.0.0.1")
    assert third.statuses == [503]
    assert b"listener.max_connections_per_client" in third.said
    assert third.transport.gone
    await turn()
    other = first.another("10.0.0.2")
    for wire in (first, second, other):
        await wire.say(EMPTY)
        assert wire.statuses == [200]
    assert first.metrics.turned_away == {"max_connections_per_client": 1}
    second.transport.close()
    await turn()
    again = first.another("10.0.0.1")
    await again.say(EMPTY)
    assert again.statuses == [200], "a place is free again"
    many = [first.another(f"10.0.1.{n}") for n in range(4)]
    assert [wire.statuses for wire in many] == [[], [], [503], [503]]
    assert b"listener.max_connections " in many[2].said


async def test_a_network_of_ipv6_addresses_is_one_client() -> None:
    first = Wire(caps=replace(UNLIMITED, connections_per_client=1), peer="2001:db8::1")
    assert first.another("2001:db8::2").statuses == [503]
    assert first.another("2001:db8:0:1::1").statuses == []


async def test_where_few_places_are_left_idle_connections_make_room_early() -> None:
    caps = replace(UNLIMITED, connections=10)
    gate = Gate()
    wires = [Wire(gate, caps=caps)]
    wires += [wires[0].another() for _ in range(9)]
    wires[0].connection.data_received(EMPTY)
    await turn()
    began = wires[1].connection.deadline - IDLE_TIMEOUT
    wires[0].sweep(began + CROWDED_IDLE - 1)
    assert not any(wire.transport.gone for wire in wires)
    wires[0].sweep(began + CROWDED_IDLE + 1)
    assert [wire.transport.gone for wire in wires] == [False] + [True] * 9
