"""A time-out that gives the loop one more moment after a standstill (`policy.standstill`).

`asyncio.timeout` ends what waits although its answer may lie in the socket, where the process has stood still until
after the time was over: the timer and the answer are then due in the same turn of the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from math import inf

from mcppool.policy.standstill import LATE

GRACE = 1.0  # seconds to read what waits in sockets, however many there are


@asynccontextmanager
async def within(seconds: float | None) -> AsyncIterator[None]:
    """Raises TimeoutError where the block takes longer than `seconds`, in which this process did not stand still;
    None or infinity: never."""
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
