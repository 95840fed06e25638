"""Calls that wait for a connection."""

from __future__ import annotations

import asyncio

import pytest

from mcppool.upstream.failures import (
    AcquireTimeout,
    ConnectFailed,
    DeadlineExceeded,
    QueueFull,
)
from mcppool.upstream.http.connection_pool import ConnectionPool
from tests.unit.upstream.leasing import Clock, settle
from tests.unit.upstream.transports import ScriptedTarget, pool_spec


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
    pool.abort()
    with pytest.raises(ConnectFailed):
        await waiting


async def test_each_call_that_waits_has_a_deadline_of_its_own(clock: Clock) -> None:
    spec = pool_spec(max_connections=1, min_connections=0, acquire_timeout="5s")
    pool = ConnectionPool(ScriptedTarget("server", 80), spec)
    patient, hasty, usual = (
        asyncio.ensure_future(pool.lease(clock.now, deadline=clock.now + seconds)) for seconds in (4.0, 1.0, 60.0)
    )
    await settle()
    for seconds, ended in ((0.9, []), (0.2, [hasty]), (2.8, [hasty]), (0.2, [hasty, patient])):
        clock.now += seconds
        pool.sweep(clock.now)
        await settle()
        assert [task for task in (hasty, patient, usual) if task.done()] == ended
        assert pool.waiting == 3 - len(ended)
    for task in (hasty, patient):
        with pytest.raises(DeadlineExceeded, match="no connection became free before the call's deadline"):
            await task
    clock.now += 1.0
    pool.sweep(clock.now)
    with pytest.raises(AcquireTimeout, match="within 5 s"):
        await usual
    pool.abort()
    await settle()


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
