"""The connections of one endpoint: leased one exchange at a time, kept while they are fresh.

A call that waits for a connection is answered exactly once: with a connection, with the reason for having none, or by
its own cancellation. `Growth` decides how many connections there are.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from time import monotonic

from mcppool.spec import PoolSpec
from mcppool.spec.plural import counted
from mcppool.upstream.failures import ConnectFailed, QueueFull
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.dialler import Dialler, StateEvent
from mcppool.upstream.http.growth import Growth
from mcppool.upstream.http.long_lived_streams import LongLivedStreams
from mcppool.upstream.http.response import NEVER
from mcppool.upstream.http.server_habits import FRESH, ServerHabits, kept_for
from mcppool.upstream.http.target import Target
from mcppool.upstream.http.waiting_calls import Waiter, WaitingCalls

CLOSING = 5.0  # seconds until aborted connections must be closed, and a lookup of the host name be over


class ConnectionPool:
    """Connections to one endpoint."""

    __slots__ = (
        "_acquire_timeout", "_closed", "_growth", "_idle", "_long_lived", "_loop", "_max_idle",
        "_on_state", "_spec", "_waiters", "_watched", "dialler", "habits", "leased", "stale_from", "streams",
    )  # fmt: skip

    def __init__(
        self,
        target: Target,
        spec: PoolSpec,
        *,
        loop: asyncio.AbstractEventLoop | None = None,
        on_connect: Callable[[ConnectFailed | None], None] = lambda _: None,
        on_state: StateEvent = lambda _state, _seconds: None,
        rng: random.Random | None = None,
    ) -> None:
        self.leased: set[Connection] = set()
        self.streams: set[Connection] = set()
        self.stale_from = NEVER
        """Lower bound on the time at which an idle connection is stale."""
        self._idle: list[Connection] = []
        self._waiters = WaitingCalls()
        self.habits = ServerHabits(spec.connection_pool.max_idle_time)
        self._loop = loop or asyncio.get_running_loop()
        self._on_state = on_state
        self._closed = False
        self._watched: Connection | None = None  # a stale one, which shows how long the server keeps it
        self.dialler = Dialler(target, self._loop, on_connect, on_state)
        self._long_lived = LongLivedStreams(self.dialler, self.streams, self.doubt)
        self._growth = Growth(
            self.dialler, spec.connection_pool, self, self.leased, self._idle, self._waiters, self._loop,
            rng or random.Random(),
        )  # fmt: skip
        self.configure(spec)

    def configure(self, spec: PoolSpec) -> None:
        """Apply changed settings; open connections stay under the new ones."""
        self._spec = spec.connection_pool
        # Hot values, read on every lease.
        self._acquire_timeout = self._spec.acquire_timeout
        self._max_idle = self._spec.max_idle_time
        self.habits.configure(self._max_idle)
        for surplus in self._growth.configure(self._spec):
            surplus.retire_at = surplus.stale_at = self.stale_from = 0.0
        self._growth.open_for_waiters()

    @property
    def target(self) -> Target:
        """The address."""
        return self.dialler.target

    # --- counts, for metrics and for the status page -------------------------------------------------------------

    @property
    def idle(self) -> int:
        """Connections that are ready for a call."""
        return len(self._idle)

    @property
    def dialling(self) -> int:
        """Connections that are being opened."""
        return self._growth.dialling

    @property
    def waiting(self) -> int:
        """Calls that wait for a connection."""
        return len(self._waiters)

    @property
    def size(self) -> int:
        """Connections that exist or are being opened."""
        return self._growth.size

    # --- leases --------------------------------------------------------------------------------------------------

    def try_lease(self, now: float, *, unsafe: bool = False) -> Connection | None:
        """An idle connection, or None. O(1), apart from stale ones that it throws away.

        For an unsafe call the connection is checked for end-of-file, and must be new or have been used within the last
        second: the gateway could not repeat a request that meets a closing connection.
        """
        idle = self._idle
        while idle:
            connection = idle.pop()
            if now >= connection.stale_at:
                if connection is self._watched:
                    idle.append(connection)  # the oldest: no other is left
                    if not self._growth.full:
                        return None
                    idle.pop()
                connection.close()
                continue
            if unsafe:
                stale = connection.used and now - connection.last_used > FRESH
                if stale or connection.last_used <= self.habits.doubted:
                    idle.append(connection)  # good enough for other calls; the rest was used even longer ago, or never
                    unused = self._unused(now)
                    if unused is None:
                        return None
                    connection = unused
                if connection.at_end_of_file():
                    connection.close()
                    continue
            self.leased.add(connection)
            if not idle:
                self._growth.open_ahead()
            return connection
        return None

    async def lease(
        self, now: float, *, unsafe: bool = False, deadline: float = NEVER, bound: bool = False
    ) -> Connection:
        """A connection; waits in turn if none is idle, until the call's `deadline` at most.

        A call that is `bound` to a session here stays while the endpoint is only busy.

        Raises QueueFull, AcquireTimeout, DeadlineExceeded or ConnectFailed; in each case nothing was sent.
        """
        until = NEVER if self._acquire_timeout is None else now + self._acquire_timeout
        last = deadline < until
        if last:
            until = deadline
        again = False
        while True:
            connection = self.try_lease(now, unsafe=unsafe)
            if connection is None:
                connection = await self._wait(until, last, now, unsafe=unsafe, bound=bound, again=again)
            if not connection.closing:
                return connection
            now = monotonic()  # it was closed between its hand-over and now
            again = True

    async def _wait(
        self, until: float, last: bool, since: float, *, unsafe: bool, bound: bool, again: bool
    ) -> Connection:
        if len(self._waiters) >= self._spec.max_waiting:
            waiting = counted(len(self._waiters), "call", ("waits", "wait"))
            raise QueueFull(f"{waiting} for a connection already (connection_pool.max_waiting)")
        if self._closed:
            raise ConnectFailed("the endpoint is being removed")
        waiter: asyncio.Future[Connection] = self._loop.create_future()
        entry = Waiter(waiter, until, last, unsafe, bound, since)
        if again:
            self._waiters.appendleft(entry)  # it keeps its turn
        else:
            self._waiters.append(entry)
        self._growth.open_for_waiters()
        try:
            return await waiter
        except asyncio.CancelledError:
            if not waiter.cancelled() and waiter.done() and waiter.exception() is None:
                waiter.result().release()  # it was handed over at the moment of our cancellation
            raise
        finally:
            if not waiter.done() or waiter.cancelled():
                self._waiters.forget(entry)

    async def open_stream(self) -> Connection:
        """A connection of its own for a long-lived stream, outside `max_connections`; its user closes it.

        Raises ConnectFailed.
        """
        return await self._long_lived.open(self._spec.connection_timeout)

    def connection_released(self, connection: Connection) -> None:
        """An exchange is over: the connection goes to the longest waiter, or becomes idle."""
        now = connection.last_used = monotonic()
        habits = self.habits
        habits.exchanged(connection)
        if habits.uses_once:
            habits.sweep(now)
        if self._closed or now >= connection.retire_at or (habits.uses_once and connection.answers):
            self.leased.discard(connection)
            connection.close()
            return
        waiter = self._waiters.longest() if self._waiters else None
        if waiter is not None:
            if waiter.unsafe and connection.used and connection.at_end_of_file():
                connection.close()  # another one opens as soon as this one is gone
                return
            self._waiters.popleft()
            waiter.future.set_result(connection)  # stays leased: it only changes hands
            return
        self.leased.discard(connection)
        stale_at = now + (
            habits.keeps if connection.keep_for is None else kept_for(connection.keep_for, self._max_idle)
        )
        connection.stale_at = stale_at if stale_at < connection.retire_at else connection.retire_at
        if connection.stale_at < self.stale_from:
            self.stale_from = connection.stale_at
        self._idle.append(connection)

    def connection_closed(self, connection: Connection) -> None:
        """A connection is gone, closed by the server or by this process."""
        now = monotonic()
        self._on_state("closed", now - connection.opened)
        self.habits.ended(connection, now, leased=connection in self.leased)
        self.leased.discard(connection)
        if connection is self._watched:
            self._watched = None
        if connection in self._idle:
            self._idle.remove(connection)
            self._growth.lower_floor()
        else:
            self._growth.hold_floor()  # its age, its answer or a fault ended it
        if self._waiters:
            self._growth.open_for_waiters()

    def warm_up(self) -> None:
        """Open the floor of connections ahead of the first call: at the start, and when the endpoint has come back."""
        self._growth.warm_up()

    # --- calls that take long ------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Check everything that has a time limit: exchanges, waiters, idle connections. Called a few times a second
        while there are calls, streams or, by `stale_from`, stale connections."""
        for connection in [c for c in (*self.leased, *self.streams) if c.deadline <= now]:
            connection.expire()
        if self._waiters:
            self._waiters.expire(now, self._acquire_timeout)
        if now >= self.stale_from:
            self._close_stale(now)

    def _close_stale(self, now: float) -> None:
        """Close stale connections, but one that shows how long the server keeps it."""
        watched = self._watched = None
        look = NEVER
        for connection in tuple(self._idle):
            due = connection.stale_at
            if now >= due and watched is None:
                due = self.habits.watch(connection, now)
                if now < due:
                    watched = self._watched = connection
            if now < due:
                look = min(look, due)
            else:
                connection.close()
        self.stale_from = look

    def waiting_since(self) -> float:
        """When the oldest call here that still waits for an answer or a connection began to wait; infinity if none
        does."""
        queued = self._waiters[0].since if self._waiters and self._growth.dialling else NEVER
        return min(queued, min((c.waiting_since for c in self.leased), default=NEVER))

    def tools_at_work(self) -> set[str]:
        """Tools that the server may be working on: those of calls in flight, and of calls abandoned since it last
        answered."""
        return {c.tool for c in self.leased if c.tool is not None}.union(self.habits.given_up)

    def forget_given_up(self) -> None:
        """The server answers, so it works on no abandoned call."""
        self.habits.given_up = ()

    def move_waiting(self, *, sessions: bool) -> None:
        """Send calls elsewhere: repeatable calls without any part of an answer at their clients, and all calls
        without a connection. `sessions`: calls of sessions, too."""
        for connection in list(self.leased):
            if sessions or not connection.bound:
                connection.move()
        failure = ConnectFailed("the endpoint hangs: it does not answer its check")
        self._waiters.fail(failure, [w for w in self._waiters if w.bound and not sessions])

    def doubt(self) -> None:
        """The process may be gone, and its other connections too, though their ends are not visible yet: unsafe calls
        are written only on connections that carry an exchange after this moment."""
        self.habits.doubted = monotonic()

    def end_streams(self) -> None:
        """Close long-lived streams: an open one keeps a server from ending (design §1.12)."""
        self._long_lived.end()

    def close(self) -> None:
        """Close idle connections and refuse new leases; leased ones close at their release."""
        self._closed = True
        self._long_lived.close()
        self._growth.close()
        for connection in list(self._idle):
            connection.close()
        self._waiters.fail(ConnectFailed("the endpoint is being removed"))

    def abort(self) -> None:
        """Close everything, now."""
        self.close()
        self.end_streams()
        for connection in list(self.leased):
            connection.close()

    async def aclose(self) -> None:
        """Close everything now, and wait until each descriptor of the endpoint is closed, those of checks too."""
        self.abort()
        await self._growth.wait_closed()
        if not await self.target.sockets.wait_closed(CLOSING):
            raise TimeoutError(f"{self.target.sockets.open} sockets were not closed within {CLOSING:g} s")

    def _unused(self, now: float) -> Connection | None:
        """An idle connection that has carried no call yet. If there is none, there is room to open one."""
        for connection in self._idle:
            if not connection.used and now < connection.stale_at and connection.last_used > self.habits.doubted:
                self._idle.remove(connection)
                return connection
        if self._growth.full:
            self._idle.pop(0).close()
        return None
