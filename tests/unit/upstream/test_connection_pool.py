"""Leases under all orders of events: nothing leaks, nobody starves, no slot is lost, nobody is served out of turn."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mcppool.upstream import connection as connection_module
from mcppool.upstream import connection_pool as pool_module
from mcppool.upstream.connection import Connection
from mcppool.upstream.connection_pool import AGE_JITTER, ConnectionPool, Target
from mcppool.upstream.failures import AcquireTimeout, ConnectFailed, QueueFull, TimedOut
from tests.unit.upstream.transports import OK, ScriptedTarget, pool_spec

ROUNDS = 6  # of the loop, after which nothing is left to be done without an event from outside


class Clock:
    """Stands where the modules look at the time; no two looks see the same one."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        self.now += 1e-9
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Virtual time."""
    clock = Clock()
    monkeypatch.setattr(pool_module, "monotonic", clock)
    monkeypatch.setattr(connection_module, "monotonic", clock)
    return clock


async def settle() -> None:
    for _ in range(ROUNDS):
        await asyncio.sleep(0)


@dataclass
class Caller:
    """One call: it waits, then holds its connection until the test lets it go."""

    number: int
    unsafe: bool
    task: asyncio.Task[Connection]
    until: float
    held: bool = field(default=False, init=False)

    @property
    def waits(self) -> bool:
        return not self.task.done()

    @property
    def connection(self) -> Connection | None:
        """What it was given; None while it waits, and where it was given nothing."""
        if not self.task.done() or self.task.cancelled() or self.task.exception() is not None:
            return None
        return self.task.result()


class Leases(RuleBasedStateMachine):
    """`ConnectionPool` among callers that come and give up, and servers that refuse, stall and close."""

    @initialize(most=st.integers(1, 4), floor=st.integers(0, 3), waiting=st.integers(0, 5), seed=st.integers(0, 2**16))
    def begin(self, most: int, floor: int, waiting: int, seed: int) -> None:
        self.clock = Clock()
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(pool_module, "monotonic", self.clock)
        self.patch.setattr(connection_module, "monotonic", self.clock)
        self.loop = asyncio.new_event_loop()
        self.complaints: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.complaints.append(context))
        self.limits = {"min_connections": min(floor, most), "max_connections": most, "max_waiting": waiting}
        self.target = ScriptedTarget("server", 80)
        self.callers: list[Caller] = []
        self.holders: list[Caller] = []
        self.closed = False
        self.pool = ConnectionPool(self.target, self._spec(), loop=self.loop, rng=random.Random(seed))

    def _spec(self) -> Any:
        return pool_spec(**self.limits, acquire_timeout="2s", max_connection_age="60s")

    # --- what may happen, each without letting anything else happen in between ---------------------------------------

    @rule(unsafe=st.booleans())
    def call(self, unsafe: bool) -> None:
        task = self.loop.create_task(self.pool.lease(self.clock.now, unsafe=unsafe))
        self.callers.append(Caller(len(self.callers), unsafe, task, self.clock.now + 2.0))

    @rule(data=st.data())
    def give_up(self, data: st.DataObject) -> None:
        if waiting := [c for c in self.callers if c.waits]:
            data.draw(st.sampled_from(waiting)).task.cancel()

    @rule(data=st.data(), outcome=st.sampled_from(["ok", "ok", "ok", "refused", "closed"]))
    def connect(self, data: st.DataObject, outcome: str) -> None:
        if dials := [d for d in self.target.dials if not d.done()]:
            data.draw(st.sampled_from(dials)).set_result(outcome)

    @rule(data=st.data(), how=st.sampled_from(["answered", "answered", "unread", "unsent", "broken"]))
    def finish(self, data: st.DataObject, how: str) -> None:
        self._collect()
        if not self.holders:
            return
        caller = data.draw(st.sampled_from(self.holders))
        connection = caller.connection
        assert connection is not None
        if how != "unsent":
            answer = connection.request(b"x", self.clock.now, self.clock.now + 5, 5.0, self.clock.now + 60)
            answer.add_done_callback(lambda a: a.exception())
            if how == "answered" and not connection.closing:
                connection.data_received(OK)
            if how == "broken" and not connection.closing:
                connection.data_received(b"nonsense\r\n\r\n")
        self.holders.remove(caller)
        connection.release()

    @rule(data=st.data())
    def server_closes(self, data: st.DataObject) -> None:
        self._run()
        if transports := [t for t in self.target.transports if not t.is_closing()]:
            data.draw(st.sampled_from(transports)).lose(None)

    @rule(data=st.data())
    def server_closes_and_it_is_not_yet_noticed(self, data: st.DataObject) -> None:
        if transports := [t for t in self.target.transports if not t.is_closing()]:
            data.draw(st.sampled_from(transports)).peer.close()

    @rule(seconds=st.sampled_from([0.1, 0.9, 1.5, 3.0, 5.0, 61.0]), then=st.booleans())
    def time_passes(self, seconds: float, then: bool) -> None:
        self.clock.now += seconds
        if then:
            self._run()
            self.pool.sweep(self.clock.now)
            self._run()
            assert all(caller.until > self.clock.now for caller in self.callers if caller.waits)

    @rule()
    def warm_up(self) -> None:
        self.pool.warm_up()

    @rule(most=st.integers(1, 4))
    def reconfigure(self, most: int) -> None:
        self.limits["max_connections"] = most
        self.limits["min_connections"] = min(self.limits["min_connections"], most)
        self.pool.configure(self._spec())

    @precondition(lambda self: len(self.callers) > 12 and not self.closed)
    @rule(how=st.sampled_from(["close", "abort"]))
    def remove(self, how: str) -> None:
        self.closed = True
        getattr(self.pool, how)()

    @rule()
    def run(self) -> None:
        self._run()
        self._check_settled()

    # --- what must hold ----------------------------------------------------------------------------------------------

    @invariant()
    def nobody_shares(self) -> None:
        if not hasattr(self, "pool"):
            return
        self._collect()
        held = [caller.connection for caller in self.holders]
        assert len(set(held)) == len(held), "one connection for two callers"
        assert self.pool.waiting <= self.limits["max_waiting"]

    def _check_settled(self) -> None:
        pool, most = self.pool, self.limits["max_connections"]
        held = {c.connection for c in self.holders if c.connection is not None and not c.connection.closed}
        assert pool.leased == held, "a lease that nobody holds, or the other way round"
        alive = {t for t in self.target.transports if not t.gone}
        assert len(alive) == len(held) + pool.idle, "a connection that nobody knows"
        assert pool.dialling == len(self.target.dials)
        over = sum(1 for c in held if c.retire_at <= self.clock.now)
        assert pool.size <= max(most, over + pool.idle) or any(c.retire_at == 0.0 for c in pool._idle)
        waiting = [c for c in self.callers if c.waits]
        assert pool.waiting == len(waiting)
        assert pool.dialling >= min(len(waiting), most - len(held) - pool.idle), "who waits must be able to hope"
        if pool.idle:
            assert all(c.unsafe for c in waiting), "an idle connection while somebody waits who could use it"
        assert not self.complaints, self.complaints

    def _collect(self) -> None:
        """Note who was served since the last look, in turn."""
        served = [c for c in self.callers if not c.held and c.connection is not None]
        for caller in served:
            before = [c for c in self.callers[: caller.number] if c.waits and (caller.unsafe or not c.unsafe)]
            assert not before, f"{caller} was served before {before}"
            caller.held = True
            self.holders.append(caller)

    def _run(self) -> None:
        for _ in range(ROUNDS):
            self.loop.run_until_complete(asyncio.sleep(0))
        self._collect()

    def teardown(self) -> None:
        if not hasattr(self, "pool"):
            return
        try:
            self._let_all_finish()
            self.pool.abort()
            self._run()
            assert not self.pool.size
            assert not self.pool.waiting
            assert all(transport.gone for transport in self.target.transports)
            assert not asyncio.all_tasks(self.loop)
            assert not self.complaints, self.complaints
        finally:
            for transport in self.target.transports:
                transport.dispose()
            self.loop.close()
            self.patch.undo()

    def _let_all_finish(self) -> None:
        """Servers answer and callers are done: then everybody who waits is served, before the time is up."""
        for _ in range(200):
            self._run()
            if not any(caller.waits for caller in self.callers) and not self.holders:
                return
            for dial in self.target.dials:
                if not dial.done():
                    dial.set_result("ok")
            for caller in self.holders:
                assert caller.connection is not None
                caller.connection.release()
            self.holders.clear()
        raise AssertionError("somebody starves")


Leases.TestCase.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLeases = Leases.TestCase


# --- one thing at a time ---------------------------------------------------------------------------------------------


class Server:
    """A target that accepts at once and, like uvicorn, closes what was idle for `keeps` seconds."""

    def __init__(self, clock: Clock, keeps: float = 5.0, **limits: Any) -> None:
        self.clock = clock
        self.keeps = keeps
        self.target = ScriptedTarget("server", 80)
        self.pool = ConnectionPool(self.target, pool_spec(**limits), rng=random.Random(1))
        self.accepted = 0
        self.closed_by_server = 0
        self._used: dict[int, float] = {}

    async def settle(self) -> None:
        await settle()
        while dials := [dial for dial in self.target.dials if not dial.done()]:
            for dial in dials:
                self.accepted += 1
                dial.set_result("ok")
            await settle()

    async def call(self, *, unsafe: bool = False, answer: bytes = OK) -> Connection:
        """One call that is answered at once; the connection that carried it."""
        task = asyncio.ensure_future(self.pool.lease(self.clock.now, unsafe=unsafe))
        await self.settle()
        connection = await task
        response = connection.request(b"x", self.clock.now, self.clock.now + 5, 5.0, self.clock.now + 60)
        connection.data_received(answer)
        await response
        connection.release()
        return connection

    async def passes(self, seconds: float, step: float = 0.1) -> None:
        """Time passes, with sweeps in it; the server closes what has been idle for too long."""
        for _ in range(round(seconds / step)):
            self.clock.now += step
            self.pool.sweep(self.clock.now)
            await self.settle()
            for connection in list(self.pool._idle):
                if self.clock.now - connection.last_used >= self.keeps:
                    self.closed_by_server += 1
                    connection._transport.lose(None)  # type: ignore[union-attr]
            await self.settle()


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
    assert {fresh, used} == set(server.pool._idle)


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


async def test_nor_does_one_that_waits_for_it(clock: Clock) -> None:
    server = Server(clock, min_connections=0, max_connections=1)
    task = asyncio.ensure_future(server.pool.lease(clock.now))
    await server.settle()
    first = await task
    waiting = asyncio.ensure_future(server.pool.lease(clock.now, unsafe=True))
    await server.settle()
    answer = first.request(b"x", clock.now, clock.now + 5, 5.0, clock.now + 60)
    first.data_received(OK)
    server.target.transports[0].peer.close()
    await answer
    first.release()
    await server.settle()
    assert await waiting is not first


async def test_what_was_closed_while_it_was_handed_over_is_not_given_to_anybody(clock: Clock) -> None:
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
    ages = [connection.retire_at - clock.now for connection in server.pool._idle]
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
    pool = ConnectionPool(ScriptedTarget("server", 80), pool_spec(max_waiting=2, min_connections=0))
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


async def test_all_who_wait_are_told_when_nobody_answers_there(clock: Clock) -> None:
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
    pool.move_waiting()
    for task in waiting:
        with pytest.raises(ConnectFailed):
            await task
    assert pool.waiting_since() == float("inf")
    pool.abort()
    await settle()


async def test_the_deadline_of_an_exchange_is_kept_by_the_sweep(clock: Clock) -> None:
    server = Server(clock, min_connections=0)
    task = asyncio.ensure_future(server.pool.lease(clock.now))
    await server.settle()
    connection = await task
    answer = connection.request(b"x", clock.now, clock.now + 1, 5.0, clock.now + 60)
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


async def test_who_refuses_is_told_from_where_nobody_says_anything() -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        port = full.getsockname()[1]
        with contextlib.ExitStack() as stack:
            for _ in range(2):  # from the next one on the kernel drops who knocks
                knocking = stack.enter_context(socket.socket())
                knocking.setblocking(False)
                knocking.connect_ex(("127.0.0.1", port))
            pool = ConnectionPool(Target("127.0.0.1", port), pool_spec())
            with pytest.raises(ConnectFailed) as silence:
                await pool.target.connect(loop, pool, 0.2)
    with pytest.raises(ConnectFailed) as refusal:
        await pool.target.connect(loop, pool, 5.0)
    assert (silence.value.silent, refusal.value.silent) == (True, False)
