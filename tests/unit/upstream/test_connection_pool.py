"""The connections of an endpoint, one aspect at a time: number, age, users and waiters."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket
from contextvars import ContextVar
from typing import Any

import pytest

from mcppool.spec import EndpointSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import (
    ConnectFailed,
    TimedOut,
)
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.connection_pool import ConnectionPool
from mcppool.upstream.http.response import NEVER
from mcppool.upstream.http.server_habits import LONGEST_KEEP_ALIVE, SINGLE_USE, SINGLE_USE_FOR
from mcppool.upstream.http.target import Target
from tests.unit.upstream.leasing import Clock, Server, idle_connections, settle
from tests.unit.upstream.line import ask
from tests.unit.upstream.transports import OK, pool_spec


async def test_no_connection_is_used_twice_where_each_ended_after_its_first_answer(clock: Clock) -> None:
    server = Server(clock, keeps=1e9, min_connections=0)
    for _ in range(SINGLE_USE):
        assert server.pool.size == 0
        await server.call()
        server.target.transports[-1].lose(None)  # the server says nothing of it, and its next call could meet this
        await server.settle()
    await server.call()
    await server.settle()
    assert server.pool.size == 0
    clock.now += SINGLE_USE_FOR
    server.pool.sweep(clock.now)
    assert await server.call() is await server.call(), "it is looked at again from time to time"


async def test_idle_connections_close_when_they_are_stale_and_the_pool_tells_when_to_look(clock: Clock) -> None:
    server = Server(clock, keeps=1e9, min_connections=0, max_connections=2)
    server.pool.habits.keeps = LONGEST_KEEP_ALIVE  # there is nothing more to learn of this server
    first, second = await idle_connections(server, clock, 2)
    clock.now += 1.0
    await server.call()  # the one that it used is kept longer
    earlier, later = sorted(connection.stale_at for connection in (first, second))
    assert clock.now < server.pool.stale_from <= earlier
    server.pool.sweep(earlier - 0.1)
    assert (server.pool.idle, server.pool.stale_from) == (2, earlier)
    server.pool.sweep(earlier)
    await server.settle()
    assert (server.pool.idle, server.pool.stale_from) == (1, later)
    server.pool.sweep(later)
    await server.settle()
    assert (server.pool.idle, server.pool.stale_from) == (0, NEVER)


async def test_a_restart_is_no_habit_of_a_server(clock: Clock) -> None:
    server = Server(clock, keeps=1e9, min_connections=0)
    for _ in range(2 * SINGLE_USE):
        assert await server.call() is await server.call()
        server.target.transports[-1].lose(None)
        await server.settle()
    assert await server.call() is await server.call()


async def test_nor_does_one_that_waits_for_it(clock: Clock) -> None:
    server = Server(clock, min_connections=0, max_connections=1)
    task = asyncio.ensure_future(server.pool.lease(clock.now))
    await server.settle()
    first = await task
    waiting = asyncio.ensure_future(server.pool.lease(clock.now, unsafe=True))
    await server.settle()
    answer = ask(first, b"x", clock.now, clock.now + 5, 5.0, clock.now + 60)
    first.data_received(OK)
    server.target.transports[0].peer.close()
    await answer
    first.release()
    await server.settle()
    assert await waiting is not first


async def test_a_connection_closed_during_its_hand_over_is_not_leased(clock: Clock) -> None:
    server = Server(clock, min_connections=0, max_connections=1)
    task = asyncio.ensure_future(server.pool.lease(clock.now))
    await server.settle()
    first = await task
    waiting = asyncio.ensure_future(server.pool.lease(clock.now, unsafe=True))
    await settle()
    first.release()
    first.close()
    await server.settle()
    assert not (await waiting).closing


@pytest.mark.parametrize(("header", "kept"), [(b"timeout=20", 19.0), (b"timeout=2, max=100", 1.0)])
async def test_an_idle_connection_is_kept_as_long_as_its_server_says(clock: Clock, header: bytes, kept: float) -> None:
    server = Server(clock, keeps=1e9, min_connections=0)
    answer = OK.replace(b"content-type", b"keep-alive: %b\r\ncontent-type" % header)
    await server.call(answer=answer)
    await server.passes(kept - 0.2)
    assert server.pool.idle == 1
    await server.passes(0.4)
    assert server.pool.idle == 0


async def test_the_deadline_of_an_exchange_is_kept_by_the_sweep(clock: Clock) -> None:
    server = Server(clock, min_connections=0)
    task = asyncio.ensure_future(server.pool.lease(clock.now))
    await server.settle()
    connection = await task
    answer = ask(connection, b"x", clock.now, clock.now + 1, 5.0, clock.now + 60)
    assert server.pool.waiting_since() == pytest.approx(clock.now, abs=1e-6)
    clock.now += 1.1
    server.pool.sweep(clock.now)
    with pytest.raises(TimedOut):
        await answer
    connection.release()
    await settle()
    assert server.pool.size == 0


async def test_a_name_that_no_host_can_have_is_a_connection_that_failed(clock: Clock) -> None:
    pool = ConnectionPool(Target("a..b", 80), pool_spec(min_connections=0))
    with pytest.raises(ConnectFailed):
        await pool.lease(clock.now)


async def test_a_refusal_is_distinguished_from_silence() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        with contextlib.ExitStack() as stack:
            for _ in range(2):  # from the next one on the kernel drops connection attempts
                knocking = stack.enter_context(socket.socket())
                knocking.setblocking(False)
                knocking.connect_ex(("127.0.0.1", port))
            pool = ConnectionPool(Target("127.0.0.1", port), pool_spec())
            with pytest.raises(ConnectFailed) as silence:
                await pool.target.connect(loop, pool, 0.2)
    with pytest.raises(ConnectFailed) as refusal:
        await pool.target.connect(loop, pool, 5.0)
    assert (silence.value.silent, refusal.value.silent) == (True, False)


async def test_that_we_have_no_more_files_takes_no_server_out() -> None:
    with socket.create_server(("127.0.0.1", 0)) as well:
        url = f"http://127.0.0.1:{well.getsockname()[1]}/mcp"
        endpoint = Endpoint(EndpointSpec(url=url), pool_spec(min_connections=0))
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        with contextlib.ExitStack() as stack:
            stack.callback(resource.setrlimit, resource.RLIMIT_NOFILE, (soft, hard))
            resource.setrlimit(resource.RLIMIT_NOFILE, (stack.enter_context(socket.socket()).fileno() + 1, hard))
            with pytest.raises(ConnectFailed) as failure:
                await endpoint.connections.lease(0.0)
        assert failure.value.ours
        assert endpoint.available
        endpoint.connections.abort()


async def test_a_connection_is_made_outside_of_the_context_of_the_call_that_needed_it() -> None:
    caller: ContextVar[str] = ContextVar("caller", default="nobody")
    seen: dict[str, str] = {}

    class Watching(Target):
        async def connect(self, *_: Any) -> Connection:
            seen["transport"] = caller.get()
            raise ConnectFailed("nobody listens")

    target = Watching("127.0.0.1", 1, None, "a")
    pool = ConnectionPool(target, pool_spec(), on_connect=lambda _: seen.update(report=caller.get()))
    caller.set("a call")
    with pytest.raises(ConnectFailed):
        await pool.lease(0.0)
    assert seen == {"transport": "nobody", "report": "a call"}
    await pool.aclose()
