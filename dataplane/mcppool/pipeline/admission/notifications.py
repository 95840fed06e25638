"""Messages without an answer: notifications, a client's answers to its server's questions, the end of a session.

Like calls, they are bounded in connections, rate and number, but separately from calls: a call that holds a connection
or a place may be waiting for just such a message. The sender of a refused message hears nothing, because it expects no
answer.
"""

from __future__ import annotations

import asyncio
from time import monotonic
from typing import Literal

from mcppool.pipeline.admission.concurrency_limiter import ConcurrencyLimiter
from mcppool.pipeline.admission.limits import Admission
from mcppool.pipeline.call import Call
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.settings import Settings
from mcppool.spec.plural import counted
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import LimitReached, RateLimited

Kind = Literal["notification", "response", "ending"]


def kind_of(call: Call) -> Kind:
    """The kind of a message; kinds do not wait for each other."""
    if call.verb == b"DELETE":
        return "ending"
    return "response" if call.request.is_response else "notification"


class NotificationAdmission:
    """Bounds on one pool's messages without an answer."""

    def __init__(self, settings: Settings, endpoints: Endpoints) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._gates: dict[tuple[Endpoint, Kind], ConcurrencyLimiter] = {}
        self._delayed = 0  # messages that wait for their rate

    async def pace(self, admission: Admission | None, call: Call, plan: Plan) -> None:
        """Wait until the pool's rates, counted separately from calls, let the message pass. Raises RateLimited if the
        message would come too late, and LimitReached if too many wait."""
        if admission is None or call.verb != b"POST":
            return
        if self._delayed >= self._settings.spec.connection_pool.max_waiting:
            raise LimitReached(
                f"{counted(self._delayed, 'message')} delayed by rate_limit already (connection_pool.max_waiting)"
            )
        self._delayed += 1
        try:
            while True:
                try:
                    await admission.rates.take(call, plan, apart=True)
                except RateLimited as limited:
                    wait = limited.retry_after or 0.0
                    if monotonic() + wait >= plan.deadline:
                        raise
                    await asyncio.sleep(wait)
                else:
                    return
        finally:
            self._delayed -= 1

    async def at(self, endpoint: Endpoint, call: Call, plan: Plan) -> ConcurrencyLimiter:
        """A place at `endpoint`, which the message must leave. Raises LimitReached; nothing was sent."""
        key = (endpoint, kind_of(call))
        gate = self._gates.get(key)
        if gate is None:
            gate = self._gates[key] = ConcurrencyLimiter(
                f"{key[1]}s at one endpoint", self._places(), self._settings.spec.connection_pool.max_waiting
            )
        gate.capacity = self._places()
        gate.max_queue = self._settings.spec.connection_pool.max_waiting
        left = plan.deadline - monotonic()
        await gate.enter(asyncio.get_running_loop().time() + left)
        return gate

    def endpoints_changed(self) -> None:
        """Forget removed endpoints, and apply changed limits."""
        present = set(self._endpoints.values())
        self._gates = {key: gate for key, gate in self._gates.items() if key[0] in present or gate.inside}
        for gate in self._gates.values():
            gate.capacity = self._places()
            gate.admit()

    def _places(self) -> int:
        """Upper bound on concurrent messages of one kind at one endpoint: the limit for calls, and half the
        connections."""
        spec = self._settings.spec
        limits = (spec.limits.pool, spec.limits.endpoint)
        bounds = [limit.max_concurrent for limit in limits if limit is not None and limit.max_concurrent is not None]
        return max(1, min([spec.connection_pool.max_connections // 2, *bounds]))
