"""A time-out that gives the event loop one more moment after a standstill (`policy.standstill`).

If the process has stood still past the time limit, the timer and the answer in the socket are due in the same turn of
the loop: `asyncio.timeout` would end the wait although the answer is there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

from mcppool.policy.standstill import LATE

GRACE = 1.0  # seconds to read the waiting data of all sockets


@asynccontextmanager
async def within(seconds: float | None) -> AsyncIterator[None]:
    """Raises TimeoutError if the block takes longer than `seconds`, not counting standstills of this process; None or
    infinity: never."""
    if seconds is None or seconds == inf:
        yield
        return
    loop = asyncio.get_running_loop()
    due = loop.time() + seconds

    timers: list[asyncio.TimerHandle] = []

    def over() -> None:
        now = loop.time()
        if now - due > LATE:
            timers.append(loop.call_later(GRACE, scope.reschedule, now))
        else:
            scope.reschedule(now)

    async with asyncio.timeout(None) as scope:
        timers.append(loop.call_at(due, over))
        try:
            yield
        finally:
            for timer in timers:
                timer.cancel()
