"""Calls that found no endpoint, and wait for one that starts or stands still."""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import TYPE_CHECKING

from mcppool.pipeline.routing.no_endpoint import no_endpoint
from mcppool.policy.wait_for_endpoint import hold_until
from mcppool.upstream.failures import AttemptFailed, NoEndpoint, QueueFull
from mcppool.upstream.timeouts import within

if TYPE_CHECKING:
    from mcppool.pipeline.call import Call
    from mcppool.pipeline.plan import Plan
    from mcppool.pipeline.pool.pool import ServerPool


LOOK = 0.5  # seconds after which it is looked anew whether somebody may still come


class WaitingRoom:
    """Nothing of these calls has been sent. There is room for `connection_pool.max_waiting` of them."""

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def waiting(self) -> int:
        """How many calls are held."""
        return len(self._waiting)

    def open(self) -> None:
        """There is an endpoint again: all go on."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def wait(self, until: float, most: int) -> bool:
        """Whether the room was opened before `until` (monotonic seconds). Raises QueueFull where `most` wait."""
        if len(self._waiting) >= most:
            raise QueueFull(f"{most} calls wait for an endpoint already (connection_pool.max_waiting)")
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(waiter)
        try:
            async with within(until - monotonic()):
                await waiter
        except TimeoutError:
            return False
        finally:
            self._waiting.discard(waiter)
        return True


async def held(pool: ServerPool, call: Call, plan: Plan, failure: AttemptFailed) -> AttemptFailed | None:
    """Hold a call that met `failure` on its way to an endpoint; None once it should look for one again, else what it is
    to be told."""
    if not isinstance(failure, NoEndpoint):
        return failure
    pool.look_again()
    if pool.choice.candidates:  # the call has tried them all
        return failure
    try:
        while (now := monotonic()) < (until := _hold_until(pool, call, plan)):
            if await pool.room.wait(min(until, now + LOOK), pool.spec.connection_pool.max_waiting):
                return None
    except QueueFull as full:
        return full
    return no_endpoint(pool)  # by now it may be known that a program never starts


def _hold_until(pool: ServerPool, call: Call, plan: Plan) -> float:
    return hold_until(call.received, plan.deadline, starting=pool.starting, hung=pool.stands_still)
