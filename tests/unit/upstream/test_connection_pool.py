"""The connections of an endpoint, one aspect at a time: number, age, users and waiters."""

from __future__ import annotations

import asyncio
import contextlib
import resource
import socket

import pytest

from mcppool.spec import EndpointSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import (
    AcquireTimeout,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    QueueFull,
    TimedOut,
)
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.connection_pool import ConnectionPool
from mcppool.upstream.http.growth import AGE_JITTER
from mcppool.upstream.http.response import NEVER
from mcppool.upstream.http.server_habits import SINGLE_USE, SINGLE_USE_FOR
from mcppool.upstream.http.target import Target
from tests.unit.upstream.leasing import Clock, Server, settle
from tests.unit.upstream.line import ask
from tests.unit.upstream.transports import OK, ScriptedTarget, pool_spec


async def test_a_floor_does_not_churn_against_a_server_that_closes_idle_connections(clock: Clock) -> None:
    server = Server(clock, min_connections=5, max_connections=10)
    server.pool.warm_up()
    await server.settle()
    assert (server.pool.idle, server.accepted) == (5, 5)
    await server.passes(300)
    assert server.accepted == 5
    assert server.closed_by_server == 0, "we close before the server does"


async def test_a_floor_does_not_churn_under_a_few_calls_either(clock: Clock) -> None:
    server = Server(clock, min_connections=5, max_connections=10)
    server.pool.warm_up()
    for number in range(60):
        await server.call(unsafe=number % 2 == 0)
        await server.passes(3)
    assert server.accepted <= 5 + 30, "an unsafe call may need a fresh one, nothing else does"
    assert server.closed_by_server == 0


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


async def idle_connections(server: Server, clock: Clock, number: int) -> list[Connection]:
    """Connections that were given back just now."""
    tasks = [asyncio.ensure_future(server.pool.lease(clock.now)) for _ in range(number)]
    await server.settle()
    connections = [await task for task in tasks]
    for connection in connections:
        connection.release()
    return connections


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


@pytest.mark.parametrize(("header", "kept"), [(b"timeout=20", 19.0), (b"timeout=2, max=100", 1.0), (b"timeout=x", 4.0)])
async def test_an_idle_connection_is_kept_as_long_as_its_server_says(clock: Clock, header: bytes, kept: float) -> None:
    server = Server(clock, keeps=1e9, min_connections=0)
    answer = OK.replace(b"content-type", b"keep-alive: %b\r\ncontent-type" % header)
    await server.call(answer=answer)
    await server.passes(kept - 0.2)
    assert server.pool.idle == 1
    await server.passes(0.4)
    assert server.pool.idle == 0


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


async def test_waiting_is_bounded_in_number_and_in_time(clock: Clock) -> None:
    pool = ConnectionPool(
        ScriptedTarget("server", 80), pool_spec(max_waiting=2, min_connections=0, acquire_timeout="2s")
    )
    waiting = [asyncio.ensure_future(pool.lease(clock.now)) for _ in range(2)]
    await settle()
    with pytest.raises(QueueFull):
        await pool.lease(clock.now)
    clock.now += 2.1
    pool.sweep(clock.now)
    for task in waiting:
        with pytest.raises(AcquireTimeout):
            await task
    pool.abort()
    await settle()


async def test_all_waiters_fail_when_the_endpoint_hangs(clock: Clock) -> None:
    target = ScriptedTarget("server", 80)
    pool = ConnectionPool(target, pool_spec(max_connections=1, min_connections=0))
    waiting = [asyncio.ensure_future(pool.lease(clock.now)) for _ in range(3)]
    await settle()
    target.dials[0].set_result("refused")
    for task in waiting:
        with pytest.raises(ConnectFailed):
            await task


async def test_a_call_that_waits_for_a_connection_to_be_opened_waits_for_its_server(clock: Clock) -> None:
    pool = ConnectionPool(ScriptedTarget("server", 80), pool_spec(max_connections=1, min_connections=0))
    waiting = [asyncio.ensure_future(pool.lease(clock.now, unsafe=unsafe)) for unsafe in (False, True)]
    await settle()
    assert pool.waiting_since() == pytest.approx(clock.now, abs=1e-6), "it may be that nobody is there"
    pool.move_waiting(sessions=True)
    for task in waiting:
        with pytest.raises(ConnectFailed):
            await task
    assert pool.waiting_since() == float("inf")
    pool.abort()
    await settle()


async def test_a_call_waits_for_a_connection_as_long_as_it_may(clock: Clock) -> None:
    pool = ConnectionPool(ScriptedTarget("server", 80), pool_spec(max_connections=1, min_connections=0))
    waiting = asyncio.ensure_future(pool.lease(clock.now))
    await settle()
    clock.now += 290.0
    pool.sweep(clock.now)
    assert not waiting.done()
    with pytest.raises(DeadlineExceeded):
        await pool.lease(clock.now, deadline=clock.now + 0.01)
    pool.abort()
    with pytest.raises(ConnectFailed):
        await waiting


async def test_calls_of_sessions_stay_in_the_queue_of_an_endpoint_that_is_only_busy(clock: Clock) -> None:
    pool = ConnectionPool(ScriptedTarget("server", 80), pool_spec(max_connections=1, min_connections=0))
    of_session = asyncio.ensure_future(pool.lease(clock.now, bound=True))
    other = asyncio.ensure_future(pool.lease(clock.now))
    await settle()
    pool.move_waiting(sessions=False)
    with pytest.raises(ConnectFailed):
        await other
    assert not of_session.done()
    assert pool.waiting == 1
    pool.move_waiting(sessions=True)
    with pytest.raises(ConnectFailed):
        await of_session
    pool.abort()
    await settle()


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
