"""Streams have connections of their own."""

from __future__ import annotations

import asyncio

import pytest

from mcppool.upstream.failures import (
    ConnectFailed,
)
from mcppool.upstream.http.connection_pool import ConnectionPool
from tests.unit.upstream.leasing import Clock, Server, settle
from tests.unit.upstream.transports import ScriptedTarget, pool_spec


async def test_a_stream_is_outside_the_limit_and_ends_with_its_endpoint(clock: Clock) -> None:
    server = Server(clock, min_connections=0, max_connections=1)
    await server.call()
    task = asyncio.ensure_future(server.pool.open_stream())
    await server.settle()
    stream = await task
    assert (server.pool.size, len(server.pool.streams)) == (1, 1)
    server.pool.end_streams()
    await settle()
    assert stream.closed
    assert not server.pool.streams


async def test_a_stream_that_ends_as_it_begins_is_not_kept(clock: Clock) -> None:
    target = ScriptedTarget("server", 80)
    pool = ConnectionPool(target, pool_spec(min_connections=0))
    task = asyncio.ensure_future(pool.open_stream())
    await settle()
    target.dials[0].set_result("closed")
    with pytest.raises(ConnectFailed):
        await task
    await settle()
    assert not pool.streams


async def test_a_stream_opened_while_the_endpoint_is_removed_is_closed(clock: Clock) -> None:
    target = ScriptedTarget("server", 80)
    pool = ConnectionPool(target, pool_spec(min_connections=0))
    task = asyncio.ensure_future(pool.open_stream())
    await settle()
    pool.abort()
    target.dials[0].set_result("ok")
    with pytest.raises(ConnectFailed):
        await task
    await settle()
    assert target.transports[0].gone
    pool.warm_up()  # and nothing opens any more
    assert not pool.size
