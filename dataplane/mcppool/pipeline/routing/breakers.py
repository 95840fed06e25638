"""Circuit breakers of a pool: one for each (endpoint, tool) that failed of late (design §3.10).

A breaker that is closed and has no failures to remember does not exist, so a tool that works costs one look into an
empty dictionary. A tool that the catalog does not list has no breaker, so what clients make up cannot grow anything.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from mcppool.pipeline.plan import Plan
from mcppool.policy.circuit_breaker import BreakerLimits, BreakerState, CircuitBreaker
from mcppool.policy.consecutive_failures import ClientKey
from mcppool.policy.retry_class import RetryClass
from mcppool.upstream.failures import CircuitOpen

if TYPE_CHECKING:
    from mcppool.pipeline.pool.pool import ServerPool
    from mcppool.upstream.endpoint import Endpoint


def admit(pool: ServerPool, plan: Plan, picked: Endpoint, candidates: tuple[Endpoint, ...], now: float) -> Endpoint:
    """Where a `tools/call` goes whose balancing has `picked`: elsewhere, where the tool's breaker is open there.

    Open at all of them, a call that may be repeated goes all the same, and another one is refused with CircuitOpen. A
    call that belongs to one endpoint, by its session or by what it gives back, has that one alone.
    """
    tool, limits = plan.tool, pool.breaker_limits
    if tool is None:
        return picked
    breaker = picked.breakers.get(tool)
    if breaker is None:
        return picked
    client = plan.client
    if not breaker.admits(client, now, limits):
        others = tuple(e for e in candidates if _admits(e, tool, client, now, limits))
        if others:
            return admit(pool, plan, pool.choice.pick(others, now, plan.key), others, now)
        if plan.retry_class is RetryClass.UNSAFE:
            wait = min(e.breakers[tool].retry_after(now, limits) for e in candidates)
            raise CircuitOpen(f"the breaker of {tool} is open wherever the call could go", retry_after=wait)
        return picked
    _transition(pool, tool, picked, breaker, lambda: breaker.admit(client, now, limits))
    return picked


def succeeded(pool: ServerPool, plan: Plan, endpoint: Endpoint) -> None:
    """An attempt was answered, by a result or by an error that is the client's own."""
    breaker = endpoint.breakers.get(plan.tool or "")
    limits = pool.breaker_limits
    if breaker is not None and plan.tool is not None:
        _transition(pool, plan.tool, endpoint, breaker, lambda: breaker.succeeded(plan.client, limits))
        if breaker.idle:
            del endpoint.breakers[plan.tool]


def failed(pool: ServerPool, plan: Plan, endpoint: Endpoint, now: float) -> None:
    """An attempt met a transport fault, a time-out, HTTP 500 or more, or the answer -32603."""
    tool, limits = plan.tool, pool.breaker_limits
    if tool is None or tool not in pool.catalog.tools:
        return
    breaker = endpoint.breakers.setdefault(tool, CircuitBreaker())
    _transition(pool, tool, endpoint, breaker, lambda: breaker.failed(plan.client, now, limits))


def abandoned(plan: Plan, endpoint: Endpoint) -> None:
    """An attempt ended without a verdict on the server."""
    breaker = endpoint.breakers.get(plan.tool or "")
    if breaker is not None:
        breaker.abandoned(plan.client)


def worst_states(pool: ServerPool) -> dict[str, BreakerState]:
    """For the metric: each tool's worst breaker among the endpoints; tools without one are closed."""
    worst: dict[str, BreakerState] = {}
    for endpoint in pool.endpoints.values():
        for tool, breaker in endpoint.breakers.items():
            worst[tool] = max(worst.get(tool, BreakerState.CLOSED), breaker.state)
    return worst


def sweep(endpoint: Endpoint, now: float, limits: BreakerLimits) -> None:
    """Forget breakers that were open for one client alone and whose time is over: that client may never come again."""
    for tool in [tool for tool, breaker in endpoint.breakers.items() if breaker.forgettable(now, limits)]:
        del endpoint.breakers[tool]


def _admits(endpoint: Endpoint, tool: str, client: ClientKey, now: float, limits: BreakerLimits) -> bool:
    breaker = endpoint.breakers.get(tool)
    return breaker is None or breaker.admits(client, now, limits)


def _transition(
    pool: ServerPool, tool: str, endpoint: Endpoint, breaker: CircuitBreaker, step: Callable[[], None]
) -> None:
    """Do `step` and tell of a change of state that it brought."""
    before, only = breaker.state, breaker.only
    step()
    after = breaker.state
    if after is not before:
        was, becomes = before.name.lower(), after.name.lower()
        pool.metrics.breaker_transition(tool, was, becomes)
        client = only if after is BreakerState.CLOSED else breaker.only
        whom = "everybody" if client is None else "one client"
        pool.log.event("breaker", endpoint=endpoint.key, tool=tool, was=was, now=becomes, for_whom=whom)
