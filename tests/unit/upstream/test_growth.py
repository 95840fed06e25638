"""How many connections an endpoint has."""

from __future__ import annotations

import asyncio

from mcppool.upstream.http.growth import AGE_JITTER
from tests.unit.upstream.leasing import Clock, Server


async def test_a_floor_does_not_churn_against_a_server_that_closes_idle_connections(clock: Clock) -> None:
    server = Server(clock, min_connections=5, max_connections=10)
    server.pool.warm_up()
    await server.settle()
    assert (server.pool.idle, server.accepted) == (5, 5)
    await server.passes(300)
    assert server.accepted == 5
    assert server.closed_by_server == 1, "one shows how long the server keeps it; we close the others before"


async def test_a_floor_does_not_churn_under_a_few_calls_either(clock: Clock) -> None:
    server = Server(clock, min_connections=5, max_connections=10)
    server.pool.warm_up()
    for number in range(60):
        await server.call(unsafe=number % 2 == 0)
        await server.passes(3)
    assert server.accepted <= 5 + 30, "an unsafe call may need a fresh one, nothing else does"
    assert server.closed_by_server == 1, "one shows how long the server keeps it"


async def test_a_connection_is_opened_ahead_of_the_next_call_while_calls_come(clock: Clock) -> None:
    server = Server(clock, min_connections=0, max_connections=10)
    held = []
    for _ in range(4):
        task = asyncio.ensure_future(server.pool.lease(clock.now))
        await server.settle()
        held.append(await task)
        await server.settle()
    waited = [server.pool.try_lease(clock.now)]
    await server.settle()
    waited.append(server.pool.try_lease(clock.now))
    assert all(waited), "there is always one that nobody waited for"
    assert server.pool.size <= 7


async def test_connections_age_and_do_not_all_end_at_once(clock: Clock) -> None:
    server = Server(clock, keeps=1e9, min_connections=8, max_connections=8, max_connection_age="100s")
    server.pool.warm_up()
    await server.settle()
    ages = [connection.retire_at - clock.now for connection in server.idle]
    assert len(set(ages)) == 8
    assert all(100 * (1 - AGE_JITTER) <= age <= 100 for age in ages)
    first = await server.call()
    clock.now += 101
    assert await server.call() is not first
    await server.settle()
    assert server.pool.size == 8, "those that grew old are replaced while calls come"


async def test_an_endpoint_that_has_come_back_is_warm(clock: Clock) -> None:
    server = Server(clock, min_connections=3)
    server.pool.warm_up()
    await server.settle()
    for transport in server.target.transports:
        transport.lose(ConnectionResetError())
    await server.settle()
    assert server.pool.size == 0
    server.pool.warm_up()
    await server.settle()
    assert server.pool.idle == 3
