"""How long idle connections are used, as the gateway learns it of a server that does not announce it."""

from __future__ import annotations

import pytest

from mcppool.upstream.http.server_habits import (
    ASSUMED_KEEP_ALIVE,
    GIVEN_UP,
    LONGEST_KEEP_ALIVE,
    MARGIN,
    WATCH_AGAIN,
    ServerHabits,
)
from tests.unit.upstream.leasing import Clock, Server, idle_connections
from tests.unit.upstream.line import Line
from tests.unit.upstream.transports import OK

KEEPING = [1.0, 3.0, 5.0, 8.0, 20.0, 47.0, 61.0, 130.0, 1e9]


@pytest.mark.parametrize("keeps", KEEPING)
async def test_idle_connections_are_used_longer_where_a_server_keeps_them_longer(clock: Clock, keeps: float) -> None:
    server = Server(clock, keeps=keeps, min_connections=0)
    for _ in range(5):
        await server.call()
        await server.passes(130.0, step=0.5)
    learned = server.pool.habits.keeps
    assert learned == ASSUMED_KEEP_ALIVE or learned <= keeps - MARGIN
    assert learned >= min(LONGEST_KEEP_ALIVE, (keeps - MARGIN) / 2 - 0.5)
    connection = await server.call()
    await server.passes(min(learned, keeps) - 0.6, step=0.5)
    assert await server.call() is connection
    await server.passes(max(learned, keeps) + 0.6 if keeps < 1e9 else learned + 0.6, step=0.5)
    assert await server.call() is not connection


async def test_one_connection_shows_how_long_a_server_keeps_it_and_no_call_uses_it(clock: Clock) -> None:
    server = Server(clock, keeps=1e9, min_connections=0, max_connections=4)
    connections = await idle_connections(server, clock, 4)
    await server.passes(ASSUMED_KEEP_ALIVE + 0.3)
    assert server.pool.idle == 1
    assert await server.call() not in connections
    assert server.pool.idle == 2
    await server.passes(ASSUMED_KEEP_ALIVE + 0.3)
    assert (server.pool.idle, server.pool.habits.keeps) == (1, ASSUMED_KEEP_ALIVE)
    await server.passes(MARGIN)
    assert (server.pool.idle, server.pool.habits.keeps) == (0, 2 * ASSUMED_KEEP_ALIVE)


@pytest.mark.parametrize("pause", [4.5, 6.0, 8.5, 20.0, 50.0])
async def test_calls_with_pauses_between_them_soon_need_no_new_connections(clock: Clock, pause: float) -> None:
    server = Server(clock, keeps=1e9, min_connections=0, max_connections=4)
    for _ in range(20):
        await server.call()
        await server.passes(pause, step=0.5)
    assert server.accepted <= 6


async def test_a_connection_that_is_watched_takes_no_place_of_a_call(clock: Clock) -> None:
    server = Server(clock, keeps=1e9, min_connections=0, max_connections=1)
    first = await server.call()
    await server.passes(ASSUMED_KEEP_ALIVE + 0.3)
    assert server.pool.idle == 1
    assert await server.call() is not first
    assert server.pool.size == 1


async def test_a_server_that_closes_idle_connections_is_not_watched_again_for_a_while(clock: Clock) -> None:
    server = Server(clock, keeps=5.0, min_connections=0)
    for _ in range(8):
        await server.call()
        await server.passes(10.0, step=0.5)
    assert (server.closed_by_server, server.pool.habits.keeps) == (1, ASSUMED_KEEP_ALIVE)
    await server.passes(WATCH_AGAIN, step=10.0)
    server.keeps = 1e9  # it was started again, with another configuration
    await server.call()
    await server.passes(10.0, step=0.5)
    assert server.pool.habits.keeps == 2 * ASSUMED_KEEP_ALIVE


async def test_a_server_that_keeps_idle_connections_less_long_than_before_is_trusted_less(clock: Clock) -> None:
    server = Server(clock, keeps=1e9, min_connections=0)
    server.pool.habits.keeps = LONGEST_KEEP_ALIVE
    await server.call()
    server.keeps = 20.0
    await server.passes(21.0)
    assert server.pool.habits.keeps == pytest.approx(20.0 - MARGIN, abs=0.2)
    server.keeps = 5.0
    await server.call()
    await server.passes(6.0)
    assert server.pool.habits.keeps == pytest.approx(ASSUMED_KEEP_ALIVE, abs=0.2)


async def test_no_idle_connection_outlives_max_idle_time_or_what_its_server_announces(clock: Clock) -> None:
    short = Server(clock, keeps=1e9, min_connections=0, max_idle_time="6s")
    announced = Server(clock, keeps=1e9, min_connections=0)
    answer = OK.replace(b"content-type", b"keep-alive: timeout=3\r\ncontent-type")
    for _ in range(3):
        await short.call()
        await announced.call(answer=answer)
        await announced.passes(2.2)
        assert announced.pool.idle == 0
        await short.passes(10.0)
        assert short.pool.idle == 0
    assert short.pool.habits.keeps == 6.0
    short.pool.habits.configure(2.0)
    assert short.pool.habits.keeps == 2.0


async def test_an_announcement_that_cannot_be_read_is_none(clock: Clock) -> None:
    server = Server(clock, keeps=1e9, min_connections=0)
    answer = OK.replace(b"content-type", b"keep-alive: timeout=x\r\ncontent-type")
    first = await server.call(answer=answer)
    await server.passes(ASSUMED_KEEP_ALIVE - 0.2)
    assert await server.call(answer=answer) is first
    await server.passes(ASSUMED_KEEP_ALIVE + 0.2)
    assert await server.call(answer=answer) is not first


async def test_only_some_tools_of_abandoned_calls_are_remembered() -> None:
    habits, line = ServerHabits(600.0), Line()
    for number in range(3 * GIVEN_UP):
        line.connection.tool = f"tool {number}"
        habits.ended(line.connection, 0.0, leased=True)
    assert habits.given_up == tuple(f"tool {number}" for number in range(2 * GIVEN_UP, 3 * GIVEN_UP))
    line.connection.used = True
    habits.exchanged(line.connection)
    assert habits.given_up == ()
    line.transport.dispose()
