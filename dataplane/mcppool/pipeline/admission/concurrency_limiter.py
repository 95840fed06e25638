"""A bound on calls in flight, with a bounded queue that is served in order."""

from __future__ import annotations

import asyncio
from collections import deque

from mcppool.spec.plural import counted
from mcppool.upstream.failures import LimitReached
from mcppool.upstream.timeouts import within


class ConcurrencyLimiter:
    """At most `capacity` calls are inside and at most `max_queue` wait; cancelled calls never lose a place."""

    __slots__ = ("_waiters", "capacity", "inside", "max_queue", "name")

    def __init__(self, name: str, capacity: int, max_queue: int) -> None:
        self.name = name
        self.capacity = capacity
        self.max_queue = max_queue
        self.inside = 0
        self._waiters: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """Number of waiting calls."""
        return len(self._waiters)

    def try_enter(self) -> bool:
        """Take a place, unless the call would have to wait for one."""
        if self._waiters or self.inside >= self.capacity:
            return False
        self.inside += 1
        return True

    async def enter(self, until: float, *, force: bool = False) -> None:
        """Take a place; wait for one until the loop time `until`. Raises LimitReached if the queue is full, unless
        `force` is set, or if the wait was in vain."""
        if self.try_enter():
            return
        if len(self._waiters) >= self.max_queue and not force:
            raise LimitReached(f"{self.name}: {counted(self.inside, 'call')} in flight, {len(self._waiters)} waiting")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            async with within(until - asyncio.get_running_loop().time()):
                await waiter
        except TimeoutError:
            self._give_up(waiter)
            raise LimitReached(f"{self.name}: no place became free in time") from None
        except asyncio.CancelledError:
            self._give_up(waiter)
            raise

    def leave(self) -> None:
        """Give a place back; the longest waiting call gets it."""
        self.inside -= 1
        if self._waiters:
            self.admit()

    def admit(self) -> None:
        """Admit waiting calls while there are free places: after a call has left, and after `capacity` was changed."""
        while self._waiters and self.inside < self.capacity:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self.inside += 1
                waiter.set_result(None)

    def _give_up(self, waiter: asyncio.Future[None]) -> None:
        if waiter.done() and not waiter.cancelled():
            self.leave()  # it was admitted at the moment it gave up
        else:
            try:
                self._waiters.remove(waiter)
            except ValueError:
                pass  # `admit` may have removed a cancelled waiter
