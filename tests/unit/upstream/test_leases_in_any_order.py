"""Leases under all orders of events: nothing leaks, no waiter starves, no slot is lost, no waiter is served out of
turn."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from mcppool.upstream.http import answer_times, growth
from mcppool.upstream.http import connection as connection_module
from mcppool.upstream.http import connection_pool as pool_module
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.connection_pool import ConnectionPool
from tests.unit.upstream.leasing import ROUNDS, Clock
from tests.unit.upstream.line import ask
from tests.unit.upstream.transports import OK, ScriptedTarget, pool_spec


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
        """Its result; None while it waits, and if it got none."""
        if not self.task.done() or self.task.cancelled() or self.task.exception() is not None:
            return None
        return self.task.result()


class Leases(RuleBasedStateMachine):
    """`ConnectionPool` among callers that come and give up, and servers that refuse, stall and close."""

    @initialize(most=st.integers(1, 4), floor=st.integers(0, 3), waiting=st.integers(0, 5), seed=st.integers(0, 2**16))
    def begin(self, most: int, floor: int, waiting: int, seed: int) -> None:
        self.clock = Clock()
        self.patch = pytest.MonkeyPatch()
        for module in (pool_module, growth, connection_module, answer_times):
            self.patch.setattr(module, "monotonic", self.clock)
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

    @rule(unsafe=st.booleans(), patience=st.sampled_from([0.5, 1.0, 9.0]))
    def call(self, unsafe: bool, patience: float) -> None:
        deadline = self.clock.now + patience
        task = self.loop.create_task(self.pool.lease(self.clock.now, unsafe=unsafe, deadline=deadline))
        self.callers.append(Caller(len(self.callers), unsafe, task, min(deadline, self.clock.now + 2.0)))

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
            answer = ask(connection, b"x", self.clock.now, self.clock.now + 5, 5.0, self.clock.now + 60)
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
        over = sum(1 for t in alive if t.connection.retire_at <= self.clock.now)  # to be closed when next looked at
        assert pool.size <= most + over
        waiting = [c for c in self.callers if c.waits]
        assert pool.waiting == len(waiting)
        assert pool.dialling >= min(len(waiting), most - len(held) - pool.idle), "who waits must be able to hope"
        if pool.idle:
            assert all(c.unsafe for c in waiting), "an idle connection while somebody waits who could use it"
        assert not self.complaints, self.complaints

    def _collect(self) -> None:
        """Record the waiters served since the last look, in turn."""
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
        """Servers answer and callers are done: then every waiter is served, before the time is up."""
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
