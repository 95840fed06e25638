"""The calls of one endpoint that wait for a connection, in the order in which they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from mcppool.upstream.failures import AcquireTimeout, AttemptFailed, DeadlineExceeded
from mcppool.upstream.http.connection import Connection


class Waiter(NamedTuple):
    """A call that waits for a connection; times are monotonic seconds. `last`: `until` is the deadline of the call."""

    future: asyncio.Future[Connection]
    until: float
    last: bool
    unsafe: bool
    bound: bool
    since: float


class WaitingCalls(deque[Waiter]):
    """A queue whose members are answered exactly once."""

    def longest(self) -> Waiter | None:
        """The call that waits longest."""
        while self and self[0].future.done():
            self.popleft()
        return self[0] if self else None

    def expire(self, now: float, limit: float | None) -> None:
        """Fail the calls whose time is over; `limit` is that of all of them, in seconds, besides their deadlines. The
        pool's sweep calls this, so that no call that waits needs a timer."""
        for waiter in [waiter for waiter in self if waiter.until <= now]:
            self.remove(waiter)
            if waiter.future.done():
                continue
            if waiter.last:
                failure: AttemptFailed = DeadlineExceeded("no connection became free before the call's deadline")
            else:
                failure = AcquireTimeout(f"no connection became free within {limit or 0:g} s")
            waiter.future.set_exception(failure)

    def fail(self, failure: AttemptFailed, but: Sequence[Waiter] = ()) -> None:
        """Fail all calls `but` some, so that they go elsewhere at once."""
        waiters = list(self)
        self.clear()
        self.extend(but)
        for waiter in waiters:
            if not waiter.future.done() and waiter not in but:
                waiter.future.set_exception(failure)

    def forget(self, waiter: Waiter) -> None:
        """A call has stopped waiting."""
        with suppress(ValueError):  # its waker has removed it
            self.remove(waiter)
