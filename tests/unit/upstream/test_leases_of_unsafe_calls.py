"""Connections that a call may use which the gateway could not repeat."""

from __future__ import annotations

import asyncio

import pytest

from mcppool.upstream.failures import (
    ConnectionLost,
)
from tests.unit.upstream.leasing import Clock, Server, idle_connections
from tests.unit.upstream.line import ask


async def test_an_unsafe_call_leaves_connections_that_are_good_for_others(clock: Clock) -> None:
    server = Server(clock, min_connections=0, max_connections=10)
    used = await server.call()
    clock.now += 2
    fresh = await server.call(unsafe=True)
    assert fresh is not used
    assert not fresh.closed
    assert not used.closed
    assert server.pool.idle == 2


async def test_an_unsafe_call_finds_room_among_connections_that_it_may_not_use(clock: Clock) -> None:
    server = Server(clock, min_connections=0, max_connections=1)
    used = await server.call()
    clock.now += 2
    assert await server.call(unsafe=True) is not used
    assert server.pool.size == 1


async def test_an_unsafe_call_takes_a_connection_that_was_never_used(clock: Clock) -> None:
    server = Server(clock, min_connections=2, max_connections=2)
    server.pool.warm_up()
    await server.settle()
    await server.call()
    clock.now += 2
    await server.call(unsafe=True)
    assert server.accepted == 2


async def test_an_unsafe_call_does_not_take_a_connection_that_its_server_has_closed(clock: Clock) -> None:
    server = Server(clock, min_connections=0)
    first = await server.call()
    server.target.transports[0].peer.close()
    assert await server.call(unsafe=True) is not first


@pytest.mark.parametrize("exc", [None, ConnectionResetError("killed")], ids=["closed", "reset"])
async def test_one_connection_lost_under_a_call_makes_the_others_suspect_to_unsafe_calls(
    clock: Clock, exc: Exception | None
) -> None:
    server = Server(clock, min_connections=0, max_connections=4)
    tasks = [asyncio.ensure_future(server.pool.lease(clock.now)) for _ in range(3)]
    await server.settle()
    leased = [await task for task in tasks]
    answer = ask(leased[0], b"x", clock.now, clock.now + 5, 5.0, clock.now + 60)
    for connection in leased[1:]:
        connection.release()
    server.target.transports[0].lose(exc)
    with pytest.raises(ConnectionLost):
        await answer
    leased[0].release()
    assert await server.call(unsafe=True) not in leased
    assert await server.call(unsafe=False) is not None
    clock.now += 0.1
    proven = await server.call(unsafe=True)
    assert await server.call(unsafe=True) is proven, "what has carried an answer since is good"


async def test_a_connection_that_ends_after_it_was_idle_makes_nothing_suspect(clock: Clock) -> None:
    server = Server(clock, min_connections=0, max_connections=4)
    await idle_connections(server, clock, 2)
    clock.now += 2
    used = await server.call()
    accepted = server.accepted
    next(t for t in server.target.transports if t.connection is not used).lose(None)
    await server.settle()
    assert await server.call(unsafe=True) is used
    assert server.accepted == accepted


async def test_a_connection_that_ends_soon_after_its_last_answer_makes_the_others_suspect(clock: Clock) -> None:
    server = Server(clock, min_connections=0, max_connections=4)
    idle = await idle_connections(server, clock, 3)
    clock.now += 0.5
    server.target.transports[0].lose(None)
    await server.settle()
    assert await server.call(unsafe=True) not in idle


async def test_a_stream_that_breaks_makes_idle_connections_suspect(clock: Clock) -> None:
    server = Server(clock, min_connections=0, max_connections=4)
    idle = await idle_connections(server, clock, 2)
    opening = asyncio.ensure_future(server.pool.open_stream())
    await server.settle()
    stream = await opening
    answer = ask(stream, b"x", clock.now, clock.now + 5, 5.0, clock.now + 60)
    server.target.transports[-1].lose(ConnectionResetError("killed"))
    with pytest.raises(ConnectionLost):
        await answer
    assert await server.call(unsafe=True) not in idle
