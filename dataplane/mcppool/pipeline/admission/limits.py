"""`limits` and `rate_limit`: early refusals, so that admitted calls keep their latency.

Rates come first, because they make no other call wait: per client, per tool, for the pool. Then places: for the tool,
for the pool, for the endpoints together (balancing then leaves out full endpoints), and for each attempt one at its
endpoint. Only attempts bound to the endpoint by their session or a pin wait for that place. A pool without limits has
no `Admission`.

Redis may count rates for all gateways; while Redis is away each gateway counts for itself. The processes of one gateway
share rates and places.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Hashable, Sequence
from time import monotonic
from typing import Protocol

from mcppool.pipeline.admission.concurrency_limiter import ConcurrencyLimiter
from mcppool.pipeline.call import Call
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.peers import Limiter, Peers
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.routing.tool_overrides import most_specific
from mcppool.pipeline.settings import Settings
from mcppool.policy.token_bucket import RateLimit, TokenBucket
from mcppool.spec import PoolSpec, RateSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import RateLimited

APART = "\0unanswered"
"""Marks the buckets of messages that are not calls."""
MAX_BUCKETS = 100_000  # for clients; a full bucket carries no information
MAX_TOOLS = 1_000  # tools whose empty gates are kept
MAX_CLIENTS = 10_000  # the same for clients


class RateCounter(Protocol):
    """Buckets that several processes share."""

    async def take(self, limits: Sequence[RateLimit]) -> tuple[RateLimit | None, float] | None:
        """Take one token for each limit. Returns the limit without a token and the seconds until it has one; None and 0
        if all had one. None if the buckets cannot be reached."""
        ...


class Admission:
    """The limits of one pool. `client_gates` are those of clients with calls in flight, and of some that had some.

    `rates` has the buckets that several processes share, None if this process counts alone. `peers` are the other
    processes of the gateway.
    """

    def __init__(
        self,
        settings: Settings,
        endpoints: Endpoints,
        picker: Picker,
        rates: RateCounter | None = None,
        peers: Peers | None = None,
    ) -> None:
        self._settings = settings
        self._endpoints = endpoints
        self._picker = picker
        self._spec = spec = settings.spec
        self._shared = rates
        self._peers = peers
        self._buckets: OrderedDict[tuple[str, str], TokenBucket] = OrderedDict()
        limits = spec.limits
        self._pool_gate = (
            self._limiter(
                "limits.pool", "pool", lambda: limits.pool.max_concurrent if limits.pool else 0, limits.pool.max_queue
            )
            if limits.pool
            else None
        )
        self._endpoint_gate = (
            self._endpoint_limiter("endpoints", self._endpoint_capacity, self._endpoint_queue())
            if limits.endpoint
            else None
        )
        self._places: dict[Endpoint, Limiter] = {}
        self._tool_gates: dict[str, Limiter] = {}
        self.client_gates: dict[Hashable, Limiter] = {}

    @property
    def waiting(self) -> int:
        """Number of calls that wait for a place."""
        gates = [self._pool_gate, self._endpoint_gate, *self._tool_gates.values(), *self._places.values()]
        waiting = sum(gate.waiting for gate in gates if gate is not None)
        return waiting + sum(gate.waiting for gate in self.client_gates.values())

    async def enter(self, call: Call, plan: Plan) -> list[Limiter]:
        """Admit a call; returns the gates that it must `leave`. Raises RateLimited or LimitReached; nothing was
        sent."""
        await self.take_rates(call, plan)
        until = self._until(plan)
        entered: list[Limiter] = []
        try:
            # The client's gate comes first: a call that waits there takes no place from other clients.
            gates = self._client_gate(call), self._tool_gate(plan.tool), self._pool_gate, self._endpoint_gate
            for gate in gates:
                if gate is not None:
                    await gate.enter(until)
                    entered.append(gate)
        except BaseException:
            leave(entered)
            raise
        return entered

    async def at(self, endpoint: Endpoint, plan: Plan, *, again: bool) -> Limiter | None:
        """A place at `endpoint` for one attempt of an admitted call, which must leave it; None if no limit is set.

        `again`: a repetition, which a full queue does not refuse: it waits until the call's deadline. Raises
        LimitReached; nothing was sent.
        """
        limit = self._spec.limits.endpoint
        if limit is None:
            return None
        gate = self._places.get(endpoint)
        if gate is None:
            gate = self._places[endpoint] = self._endpoint_limiter(
                f"endpoint {endpoint.key}", lambda: int(endpoint.places), limit.max_queue
            )
        await gate.enter(self._until(plan, again=again), force=again)
        return gate

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

    def endpoints_changed(self) -> None:
        """Apply changes of the pool's endpoints or of their availability."""
        if self._endpoint_gate is None:
            return
        self._endpoint_gate.max_queue = self._endpoint_queue()
        self._endpoint_gate.admit()
        for gate in self._places.values():
            gate.admit()
        present = set(self._endpoints.values())
        self._places = {e: gate for e, gate in self._places.items() if e in present or gate.inside or gate.waiting}

    def _endpoint_capacity(self) -> int:
        limit = self._spec.limits.endpoint
        if limit is None:
            return 0
        if limit.max_concurrent is None:
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

    def _client_gate(self, call: Call) -> Limiter | None:
        """The gate of a client: its principal, or the address of a client without a credential."""
        limit = self._spec.limits.principal
        if limit is None:
            return None
        client = call.client.origin
        gate = self.client_gates.get(client)
        if gate is None:
            if len(self.client_gates) >= MAX_CLIENTS:
                self.client_gates = {n: g for n, g in self.client_gates.items() if g.inside or g.waiting}
            gate = self.client_gates[client] = self._limiter(
                "limits.principal", f"principal {client}", lambda: limit.max_concurrent, limit.max_queue
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
        return self._limiter(f"limits of the tool {tool}", f"tool {tool}", lambda: capacity, queue)

    def _endpoint_limiter(self, key: str, capacity: Callable[[], int], max_queue: int) -> Limiter:
        """A limiter of places at endpoints. Each process learns its own part of a limit that adapts."""
        limit = self._spec.limits.endpoint
        if limit is not None and limit.max_concurrent is None:
            return ConcurrencyLimiter("limits.endpoint", capacity, max_queue)
        return self._limiter("limits.endpoint", key, capacity, max_queue)

    def _limiter(self, name: str, key: str, capacity: Callable[[], int], max_queue: int) -> Limiter:
        """A limiter of this process, or one that it shares with its peers under `key`."""
        if self._peers is not None:
            return self._peers.limiter(name, key, capacity, max_queue)
        return ConcurrencyLimiter(name, capacity, max_queue)

    async def take_rates(self, call: Call, plan: Plan, *, apart: bool = False) -> None:
        """Take the call's cost from each rate that applies to it. Raises RateLimited.

        `apart`: it is no call, and has buckets of its own.
        """
        asked = self._rates(call, plan, APART if apart else "")
        if not asked:
            return
        if self._shared is not None and (answer := await self._shared.take(asked)) is not None:
            short, wait = answer
            if short is not None:
                raise _limited(short, wait)
            return
        now = monotonic()
        taken: list[TokenBucket] = []
        for limit in asked:
            bucket = self._bucket(limit, now)
            wait = bucket.take(limit.rate, limit.burst, now)
            if wait:
                for other in taken:
                    other.give_back()
                raise _limited(limit, wait)
            taken.append(bucket)

    def _rates(self, call: Call, plan: Plan, suffix: str = "") -> list[RateLimit]:
        """The rates that apply to the call."""
        rates = self._spec.rate_limit
        tool = plan.tool if plan.tool in self._settings.catalog.tools else None
        return [
            RateLimit(kind, name, rate.requests_per_second, _burst(rate))
            for kind, name, rate in (
                ("principal", _client(call) + suffix, rates.principal),
                ("tool", tool, rates.tool),
                ("pool", suffix, rates.pool),
            )
            if rate is not None and name is not None
        ]

    def _bucket(self, limit: RateLimit, now: float) -> TokenBucket:
        key = (limit.kind, limit.name)
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(limit.burst, now)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket


def _client(call: Call) -> str:
    """The client whose rate counts: its principal, or the address of a client without a credential. All calls of the
    library without a credential are those of one client."""
    principal = call.principal
    return call.address if principal.anonymous and call.address else principal.key


def has_limits(spec: PoolSpec) -> bool:
    """Whether a pool has any limits; a pool without has no `Admission`."""
    sections = (spec.rate_limit.principal, spec.rate_limit.tool, spec.rate_limit.pool)
    bounds = (spec.limits.principal, spec.limits.pool, spec.limits.endpoint, spec.limits.tool)
    by_tool = any(tool.max_concurrent for tool in spec.tools.values())
    return by_tool or any(s is not None for s in (*sections, *bounds))


def leave(gates: list[Limiter]) -> None:
    """Give back the places of a call, innermost first."""
    for gate in reversed(gates):
        gate.leave()


def _limited(limit: RateLimit, wait: float) -> RateLimited:
    return RateLimited(f"rate_limit.{limit.kind}: {limit.rate:g} calls a second", retry_after=wait)


def _burst(rate: RateSpec) -> float:
    return float(rate.burst if rate.burst is not None else rate.requests_per_second)
