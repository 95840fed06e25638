"""How many connections an endpoint has: opened ahead of demand, at most `max_connections`, at least the floor.

Invariants, kept by every transition (all of them synchronous):
* `leased + idle + dialling <= max_connections`;
* while calls wait, as many connections are being opened as are needed or allowed: `dialling >= min(waiting, room)`.
"""

from __future__ import annotations

import asyncio
import random
from contextvars import Context, copy_context
from time import monotonic
from typing import Final

from mcppool.spec.sections.connection_pool import ConnectionPoolSpec
from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.http.connection import Connection, ConnectionOwner
from mcppool.upstream.http.dialler import Dialler
from mcppool.upstream.http.response import NEVER
from mcppool.upstream.http.waiting_calls import WaitingCalls

AGE_JITTER: Final = 0.025
"""Largest difference of the ages of connections, as a share of `max_connection_age` (HikariCP's maxLifetime)."""


class Growth:
    """Opens connections for `owner`, which keeps those in use in `leased`, the others in `idle`, and the calls without
    one in `waiters`. A new connection is released to the owner, as after an exchange."""

    __slots__ = (
        "_closed", "_dialler", "_dials", "_floor", "_idle", "_leased", "_loop", "_owner", "_rng", "_spec", "_waiters",
    )  # fmt: skip

    def __init__(
        self,
        dialler: Dialler,
        spec: ConnectionPoolSpec,
        owner: ConnectionOwner,
        leased: set[Connection],
        idle: list[Connection],
        waiters: WaitingCalls,
        loop: asyncio.AbstractEventLoop,
        rng: random.Random,
    ) -> None:
        self._dialler = dialler
        self._spec = spec
        self._owner = owner
        self._leased = leased
        self._idle = idle
        self._waiters = waiters
        self._loop = loop
        self._rng = rng
        self._dials: set[asyncio.Task[None]] = set()
        self._floor = spec.min_connections
        self._closed = False

    @property
    def dialling(self) -> int:
        """Connections that are being opened."""
        return len(self._dials)

    @property
    def size(self) -> int:
        """Connections that exist or are being opened."""
        return len(self._leased) + len(self._idle) + len(self._dials)

    @property
    def full(self) -> bool:
        """Whether there is no room for another connection."""
        return self.size >= self._spec.max_connections

    def configure(self, spec: ConnectionPoolSpec) -> list[Connection]:
        """Apply changed settings. Returns the connections above the new `max_connections`, which are closed when they
        are free; those that are being opened are given up at once."""
        self._spec = spec
        self._floor = spec.min_connections
        excess = max(0, self.size - spec.max_connections)
        dials = list(self._dials)[:excess]
        for task in dials:
            task.cancel()
        oldest_first = sorted(self._leased, key=lambda connection: connection.opened)
        return [*self._idle, *oldest_first][: excess - len(dials)]

    def warm_up(self) -> None:
        """Open the floor of connections ahead of the first call."""
        self._floor = self._spec.min_connections
        self.hold_floor()

    def open_ahead(self) -> None:
        """A call took the last idle connection: open one for the next call."""
        if not self.full and not self._dials and len(self._leased) > 1:
            self._floor = self._spec.min_connections
            self._dial()

    def open_for_waiters(self) -> None:
        """Open a connection for each call that waits, as far as there is room."""
        while not self._closed and len(self._dials) < len(self._waiters) and not self.full:
            self._dial()

    def hold_floor(self) -> None:
        """Replace connections below the floor."""
        while self.size < self._floor and not self._closed:
            self._dial()

    def lower_floor(self) -> None:
        """Do not replace an unused connection that has ended: the server, or the limit on idle time, would end the next
        one too."""
        self._floor = min(self._floor, self.size)

    def close(self) -> None:
        """Open no connections any more, and give up those that are being opened."""
        self._closed = True
        for task in list(self._dials):
            task.cancel()

    async def wait_closed(self) -> None:
        """Wait until all that is being opened is given up."""
        if self._dials:
            await asyncio.wait(self._dials)

    def _dial(self) -> None:
        # The callbacks of a connection keep the context in which it was made. That is an empty one, because the call
        # which needs the connection first is not the only one that it carries.
        task = self._loop.create_task(self._connect(copy_context()), context=Context())
        self._dials.add(task)
        task.add_done_callback(self._dialled)

    def _dialled(self, task: asyncio.Task[None]) -> None:
        self._dials.discard(task)
        if self._waiters and not self._closed:
            self.open_for_waiters()

    async def _connect(self, cause: Context) -> None:
        try:
            connection = await self._dialler.open(self._owner, self._spec.connection_timeout, cause)
        except ConnectFailed as failure:
            self._waiters.fail(failure)
            return
        connection.retire_at = monotonic() + self._age()
        task = asyncio.current_task()
        if not connection.closing and task is not None:
            self._dials.discard(task)  # it now counts as a connection, not as a dial
            self._leased.add(connection)
            self._owner.connection_released(connection)
            if not self._idle and not self._waiters:
                self.open_ahead()

    def _age(self) -> float:
        age = self._spec.max_connection_age
        return age * (1 - self._rng.random() * AGE_JITTER) if age else NEVER
