"""`limits` and `rate_limit`: early refusals, so that admitted calls keep their latency.

Rates come first, because they make no other call wait: per client, per tool, for the pool. Then places: for the tool,
for the pool, for the endpoints together (balancing then leaves out full endpoints), and for each attempt one at its
endpoint. Only attempts bound to the endpoint by their session or a pin wait for that place. A pool without limits has
no `Admission`.

A call that has to wait for none of them is admitted at once (`try_enter`). The processes of one gateway share places.
"""

from __future__ import annotations

import asyncio
from collections.abc import Hashable, Sequence
from time import monotonic

from mcppool.pipeline.admission.concurrency_limiter import ConcurrencyLimiter
from mcppool.pipeline.admission.rates import MAX_KNOWN, MAX_KNOWN_NAME, RateCounter, Rates
from mcppool.pipeline.call import Call
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.peers import Limiter, Peers
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.routing.tool_overrides import most_specific
from mcppool.pipeline.settings import Settings
from mcppool.spec import PoolSpec
from mcppool.upstream.endpoint import Endpoint

MAX_TOOLS = 1_000  # tools whose empty gates are kept
MAX_CLIENTS = 10_000  # the same for clients


class Admitted:
    """The places of an admitted call: `gates` until it ends, and `place` until its first attempt ends, if
    `limits.endpoint` is set. `in_flight` calls are at the endpoint, itself included."""

    __slots__ = ("gates", "in_flight", "place")

    def __init__(self, gates: Sequence[Limiter], place: Limiter | None, in_flight: int) -> None:
        self.gates = gates
        self.place = place
        self.in_flight = in_flight


class Admission:
    """The limits of one pool. `client_gates` are those of clients with calls in flight, and of some that had some.

    `counter` has the buckets that several processes share, None if this process counts alone. `peers` are the other
    processes of the gateway.
    """

    def __init__(
        self,
        settings: Settings,
        endpoints: Endpoints,
        picker: Picker,
        counter: RateCounter | None = None,
        peers: Peers | None = None,
    ) -> None:
        self._endpoints = endpoints
        self._picker = picker
        self._spec = spec = settings.spec
        self.rates = Rates(settings, counter)
        self._peers = peers
        limits = spec.limits
        self._pool_gate = (
            self._limiter("limits.pool", "pool", limits.pool.max_concurrent, limits.pool.max_queue)
            if limits.pool
            else None
        )
        self._endpoint_gate = (
            self._endpoint_limiter("endpoints", self._endpoint_capacity(), self._endpoint_queue())
            if limits.endpoint
            else None
        )
        # The gates of every call.
        self._always = [gate for gate in (self._pool_gate, self._endpoint_gate) if gate is not None]
        self._limits_tools = has_limits_of_tools(spec)
        self._limits_endpoints = limits.endpoint is not None
        self._places: dict[Endpoint, Limiter] = {}
        self._tool_gates: dict[str, Limiter] = {}
        self.client_gates: dict[Hashable, Limiter] = {}
        # The gates of a call by its principal, address and tool: each call asks for all of them. All are forgotten when
        # one of them may be replaced.
        self._known: dict[tuple[str, str, str | None], tuple[Limiter, ...]] = {}

    @property
    def waiting(self) -> int:
        """Number of calls that wait for a place."""
        gates = [self._pool_gate, self._endpoint_gate, *self._tool_gates.values(), *self._places.values()]
        waiting = sum(gate.waiting for gate in gates if gate is not None)
        return waiting + sum(gate.waiting for gate in self.client_gates.values())

    async def enter(self, call: Call, plan: Plan) -> list[Limiter]:
        """Admit a call; returns the gates that it must `leave`. Raises RateLimited or LimitReached; nothing was
        sent."""
        await self.rates.take(call, plan)
        until: float | None = None
        entered: list[Limiter] = []
        try:
            for gate in self._gates(call, plan):
                if not gate.try_enter():
                    if until is None:
                        until = self._until(plan)
                    await gate.enter(until)
                entered.append(gate)
        except BaseException:
            leave(entered)
            raise
        return entered

    def try_enter(self, call: Call, plan: Plan, endpoint: Endpoint) -> Admitted | None:
        """Admit a call and its first attempt, at `endpoint`, if they wait for nothing. Otherwise, or if a limit is
        reached, the call takes nothing."""
        gates = self._known.get((call.principal.key, call.address, plan.tool))
        if gates is None:
            gates = self._look_up(call, plan)
        for number, gate in enumerate(gates):
            if not gate.try_enter():
                leave(gates[:number])
                return None
        place: Limiter | None = None
        if self._limits_endpoints:
            place = self._places.get(endpoint) or self._place(endpoint)
        if place is None or place.try_enter():
            # The rates come last: what they give is given back by none of the steps before.
            if self.rates.try_take(call, plan):
                return Admitted(gates, place, endpoint.active + 1)
            if place is not None:
                place.leave()
        leave(gates)
        return None

    async def at(self, endpoint: Endpoint, plan: Plan, *, again: bool) -> Limiter | None:
        """A place at `endpoint` for one attempt of an admitted call, which must leave it; None if no limit is set.

        `again`: a repetition, which a full queue does not refuse: it waits until the call's deadline. Raises
        LimitReached; nothing was sent.
        """
        place = self._place(endpoint)
        if place is not None and not place.try_enter():
            await place.enter(self._until(plan, again=again), force=again)
        return place

    def answered(self, endpoint: Endpoint, name: str, seconds: float, in_flight: int) -> None:
        """A call named `name` was answered; `in_flight` calls, itself included, were at the endpoint when it was
        sent."""
        adapts = endpoint.concurrency
        if adapts is not None and adapts.answered(name, seconds, in_flight, monotonic()):
            self.endpoints_changed()

    def overloaded(self, endpoint: Endpoint) -> None:
        """The endpoint refused a call, or did not answer it in time."""
        if endpoint.concurrency is not None:
            endpoint.concurrency.overloaded()
            self._count_places()

    def endpoints_changed(self) -> None:
        """Apply changes of the pool's endpoints or of their availability."""
        if self._endpoint_gate is None:
            return
        self._count_places()
        self._endpoint_gate.max_queue = self._endpoint_queue()
        self._endpoint_gate.admit()
        for gate in self._places.values():
            gate.admit()
        present = set(self._endpoints.values())
        self._places = {e: gate for e, gate in self._places.items() if e in present or gate.inside or gate.waiting}

    def _count_places(self) -> None:
        """Set the capacities of the gates of endpoints: a sum over all of them takes long for each call."""
        if self._endpoint_gate is not None:
            self._endpoint_gate.capacity = self._endpoint_capacity()
        for endpoint, gate in self._places.items():
            gate.capacity = int(endpoint.places)

    def _endpoint_capacity(self) -> int:
        limit = self._spec.limits.endpoint
        if limit is None:
            return 0
        if limit.max_concurrent is None:  # each adapts
            return sum(int(endpoint.places) for endpoint in self._picker.candidates) or 1
        return limit.max_concurrent * max(1, len(self._picker.candidates))

    def _endpoint_queue(self) -> int:
        limit = self._spec.limits.endpoint
        return limit.max_queue * max(1, len(self._picker.candidates)) if limit else 0

    def _until(self, plan: Plan, *, again: bool = False) -> float:
        """The loop time until which a call waits for a place."""
        left = plan.deadline - monotonic()
        most = self._spec.connection_pool.acquire_timeout
        return asyncio.get_running_loop().time() + (left if again or most is None else min(most, left))

    def _gates(self, call: Call, plan: Plan) -> Sequence[Limiter]:
        """The gates that a call enters, in order. The client's comes first: a call that waits there takes no place from
        other clients."""
        client = self._client_gate(call) if self._spec.limits.principal is not None else None
        tool = self._tool_gate(plan.tool) if self._limits_tools else None
        if client is None and tool is None:
            return self._always
        return [gate for gate in (client, tool, *self._always) if gate is not None]

    def _look_up(self, call: Call, plan: Plan) -> tuple[Limiter, ...]:
        """The gates that a call enters, which are remembered."""
        gates = tuple(self._gates(call, plan))
        nobody = call.principal.anonymous and not call.address  # each call is a client of its own
        if not nobody and len(plan.tool or "") <= MAX_KNOWN_NAME:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[call.principal.key, call.address, plan.tool] = gates
        return gates

    def _place(self, endpoint: Endpoint) -> Limiter | None:
        """The places at an endpoint; None if no limit is set."""
        limit = self._spec.limits.endpoint
        if limit is None:
            return None
        places = self._places.get(endpoint)
        if places is None:
            places = self._places[endpoint] = self._endpoint_limiter(
                f"endpoint {endpoint.key}", int(endpoint.places), limit.max_queue
            )
        return places

    def _client_gate(self, call: Call) -> Limiter | None:
        """The gate of a client: its principal, or the address of a client without a credential."""
        limit = self._spec.limits.principal
        if limit is None:
            return None
        client = call.origin
        gate = self.client_gates.get(client)
        if gate is None:
            if len(self.client_gates) >= MAX_CLIENTS:
                self.client_gates = {n: g for n, g in self.client_gates.items() if g.inside or g.waiting}
                self._known.clear()
            gate = self.client_gates[client] = self._limiter(
                "limits.principal", f"principal {client}", limit.max_concurrent, limit.max_queue
            )
        return gate

    def _tool_gate(self, tool: str | None) -> Limiter | None:
        """The gate of a tool, in the catalog or not; the number of stored gates without calls is bounded."""
        if tool is None:
            return None
        gate = self._tool_gates.get(tool)
        if gate is None and (gate := self._make_tool_gate(tool)) is not None:
            if len(self._tool_gates) >= MAX_TOOLS:
                self._tool_gates = {n: g for n, g in self._tool_gates.items() if g.inside or g.waiting}
                self._known.clear()
            self._tool_gates[tool] = gate
        return gate

    def _make_tool_gate(self, tool: str) -> Limiter | None:
        override = most_specific(self._spec.tools, tool)
        general = self._spec.limits.tool
        limit = override.max_concurrent if override is not None else None
        if limit is None and general is None:
            return None
        capacity = limit if limit is not None else general.max_concurrent if general else 0
        queue = general.max_queue if general else 0
        return self._limiter(f"limits of the tool {tool}", f"tool {tool}", capacity, queue)

    def _endpoint_limiter(self, key: str, capacity: int, max_queue: int) -> Limiter:
        """A limiter of places at endpoints. Each process learns its own part of a limit that adapts."""
        limit = self._spec.limits.endpoint
        if limit is not None and limit.max_concurrent is None:
            return ConcurrencyLimiter("limits.endpoint", capacity, max_queue)
        return self._limiter("limits.endpoint", key, capacity, max_queue)

    def _limiter(self, name: str, key: str, capacity: int, max_queue: int) -> Limiter:
        """A limiter of this process, or one that it shares with its peers under `key`."""
        if self._peers is not None:
            return self._peers.limiter(name, key, capacity, max_queue)
        return ConcurrencyLimiter(name, capacity, max_queue)


def has_limits(spec: PoolSpec) -> bool:
    """Whether a pool has any limits; a pool without has no `Admission`."""
    sections = (spec.rate_limit.principal, spec.rate_limit.tool, spec.rate_limit.pool)
    bounds = (spec.limits.principal, spec.limits.pool, spec.limits.endpoint)
    return has_limits_of_tools(spec) or any(s is not None for s in (*sections, *bounds))


def has_limits_of_tools(spec: PoolSpec) -> bool:
    """Whether a pool limits the calls of single tools in flight."""
    return spec.limits.tool is not None or any(tool.max_concurrent for tool in spec.tools.values())


def leave(gates: Sequence[Limiter]) -> None:
    """Give back the places of a call, innermost first."""
    for gate in reversed(gates):
        gate.leave()
