"""Calls that found no endpoint, and wait for one that starts or is silent."""

from __future__ import annotations

import asyncio
from time import monotonic

from mcppool.pipeline.call import Call
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.probers import Probers
from mcppool.pipeline.routing.outage import Outage
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.settings import Settings
from mcppool.policy.wait_for_endpoint import hold_until
from mcppool.spec.plural import counted
from mcppool.upstream.failures import AttemptFailed, NoEndpoint, QueueFull
from mcppool.upstream.timeouts import within

LOOK = 0.5  # seconds after which to check again whether an endpoint may still come


class WaitingRoom:
    """Holds unsent calls. There is room for `connection_pool.max_waiting` of them."""

    def __init__(self, settings: Settings, picker: Picker, outage: Outage, probers: Probers) -> None:
        self._settings = settings
        self._picker = picker
        self._outage = outage
        self._probers = probers
        self._waiting: set[asyncio.Future[None]] = set()

    @property
    def waiting(self) -> int:
        """Number of held calls."""
        return len(self._waiting)

    def open(self) -> None:
        """There is an endpoint again: all calls go on."""
        for waiter in self._waiting:
            if not waiter.done():
                waiter.set_result(None)

    async def hold(self, call: Call, plan: Plan, failure: AttemptFailed) -> AttemptFailed | None:
        """Hold a call that met `failure` on its way to an endpoint. Returns None once it should look for one again,
        else the failure to report."""
        if not isinstance(failure, NoEndpoint):
            return failure
        self._probers.check_lost()
        if self._picker.candidates:  # the call has tried them all
            return failure
        try:
            while (now := monotonic()) < (until := self._until(call, plan)):
                if await self._wait(min(until, now + LOOK), self._settings.spec.connection_pool.max_waiting):
                    return None
        except QueueFull as full:
            return full
        return self._outage.failure()  # by now it may be known that a program never starts

    def _until(self, call: Call, plan: Plan) -> float:
        outage = self._outage
        return hold_until(call.received, plan.deadline, starting=outage.starting, hung=outage.stands_still)

    async def _wait(self, until: float, most: int) -> bool:
        """Whether the room was opened before `until` (monotonic seconds). Raises QueueFull if `most` wait."""
        if len(self._waiting) >= most:
            raise QueueFull(
                f"{counted(most, 'call', ('waits', 'wait'))} for an endpoint already (connection_pool.max_waiting)"
            )
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
