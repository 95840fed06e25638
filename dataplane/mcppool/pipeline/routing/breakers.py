"""Circuit breakers of a pool: one for each (endpoint, tool) with recent failures (design §3.10).

A closed breaker without remembered failures does not exist, so a working tool costs one look into an empty dictionary.
A tool outside the catalog has no breaker, so invented names use no memory.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.routing.trials import Trials
from mcppool.pipeline.settings import Settings
from mcppool.policy.circuit_breaker import BreakerLimits, BreakerState, CircuitBreaker
from mcppool.policy.consecutive_failures import ClientKey
from mcppool.policy.retry_class import RetryClass
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import CircuitOpen

Pick = Callable[[tuple[Endpoint, ...], float, bytes | None], Endpoint]
"""Balancing: picks one of these endpoints, at a time, for a hash key."""


class Breakers:
    """Admits calls to endpoints, and learns from their outcomes."""

    def __init__(self, settings: Settings, metrics: PoolMetrics, log: LimitedLog, trials: Trials) -> None:
        self._settings = settings
        self._metrics = metrics
        self._log = log
        self._trials = trials

    def admit(self, plan: Plan, picked: Endpoint, candidates: tuple[Endpoint, ...], now: float, pick: Pick) -> Endpoint:
        """The endpoint of a `tools/call` for which balancing has `picked` one: another one, if the tool's breaker is
        open there.

        If it is open at all of them, a repeatable call goes anyway, and any other is refused with CircuitOpen. A call
        that is bound to one endpoint, by its session or a pin, has only that one.
        """
        tool, limits = plan.tool, self._settings.breaker_limits
        if tool is None:
            return picked
        client, endpoint, left = plan.client, picked, candidates
        while True:
            breaker = endpoint.breakers.get(tool)
            if breaker is None:
                return endpoint
            if breaker.admits(client, now, limits) and self._may_try(breaker, client, endpoint, tool):
                self._transition(tool, endpoint, breaker, partial(breaker.admit, client, now, limits))
                return endpoint
            left = tuple(e for e in left if e is not endpoint and _admits(e, tool, client, now, limits))
            if not left:
                break
            endpoint = pick(left, now, plan.key)
        if plan.retry_class is RetryClass.UNSAFE:
            wait = min(e.breakers[tool].retry_after(now, limits) for e in candidates)
            raise CircuitOpen(f"the breaker of {tool} is open wherever the call could go", retry_after=wait)
        return picked

    def concern(self, plan: Plan, endpoint: Endpoint) -> bool:
        """Whether the tool's breaker there is not closed for the call."""
        breaker = endpoint.breakers.get(plan.tool or "")
        return breaker is not None and breaker.concerns(plan.client)

    def succeeded(self, tool: str | None, client: ClientKey, endpoint: Endpoint, *, heard: bool = False) -> bool:
        """An attempt was answered, by a result or by an error that is the client's own. `heard`: another process made
        it. Returns whether the tool has a breaker there."""
        breaker = endpoint.breakers.get(tool or "")
        limits = self._settings.breaker_limits
        if breaker is None or tool is None:
            return False
        self._transition(tool, endpoint, breaker, lambda: breaker.succeeded(client, limits), heard=heard)
        if breaker.idle:
            del endpoint.breakers[tool]
        return True

    def failed(self, tool: str | None, client: ClientKey, endpoint: Endpoint, now: float) -> bool:
        """An attempt met a transport fault, a time-out, HTTP 500 or more, or the answer -32603. Returns whether it was
        the trial of a breaker."""
        breaker = self._of_known(tool, endpoint)
        if breaker is None or tool is None:
            return False
        trial = breaker.trial and breaker.concerns(client)
        if trial:
            self._trials.failed(endpoint, now, tool)
        self._transition(tool, endpoint, breaker, lambda: breaker.failed(client, now, self._settings.breaker_limits))
        return trial

    def failed_elsewhere(
        self, tool: str | None, client: ClientKey, endpoint: Endpoint, now: float, *, trial: bool
    ) -> None:
        """Another process made an attempt that failed. `trial`: it was the trial of the breaker there."""
        breaker = self._of_known(tool, endpoint)
        if breaker is not None and tool is not None:
            limits = self._settings.breaker_limits
            step = partial(breaker.failed, client, now, limits, trial=trial)
            self._transition(tool, endpoint, breaker, step, heard=True)

    def abandoned(self, plan: Plan, endpoint: Endpoint) -> None:
        """An attempt ended without a verdict on the server."""
        tool = plan.tool
        breaker = endpoint.breakers.get(tool or "")
        if breaker is not None and tool is not None:
            self._transition(tool, endpoint, breaker, lambda: breaker.abandoned(plan.client))

    def sweep(self, endpoint: Endpoint, now: float) -> None:
        """Forget expired breakers that were open for one client alone: that client may never come again."""
        limits = self._settings.breaker_limits
        for tool in [tool for tool, breaker in endpoint.breakers.items() if breaker.forgettable(now, limits)]:
            del endpoint.breakers[tool]
            self._trials.end(endpoint, tool)

    def _of_known(self, tool: str | None, endpoint: Endpoint) -> CircuitBreaker | None:
        """The breaker of a tool of the catalog, made if there is none."""
        if tool is None or tool not in self._settings.catalog.tools:
            return None
        return endpoint.breakers.setdefault(tool, CircuitBreaker())

    def _may_try(self, breaker: CircuitBreaker, client: ClientKey, endpoint: Endpoint, tool: str) -> bool:
        """Whether no other process makes the trial that an admitted call would be."""
        return not breaker.concerns(client) or self._trials.begin(endpoint, tool)

    def _transition(
        self, tool: str, endpoint: Endpoint, breaker: CircuitBreaker, step: Callable[[], None], *, heard: bool = False
    ) -> None:
        """Do `step`, and report a change of state, unless another process does."""
        before, only, trial = breaker.state, breaker.only, breaker.trial
        step()
        after = breaker.state
        if trial and not breaker.trial:
            self._trials.end(endpoint, tool)
        if after is not before and not heard:
            was, becomes = before.name.lower(), after.name.lower()
            self._metrics.breaker_transition(tool, was, becomes)
            client = only if after is BreakerState.CLOSED else breaker.only
            scope = "all clients" if client is None else "one client"
            self._log.event("breaker", endpoint=endpoint.key, tool=tool, was=was, now=becomes, scope=scope)


def worst_states(endpoints: Endpoints) -> dict[str, BreakerState]:
    """For the metric: each tool's worst breaker among the endpoints; tools without one are closed."""
    worst: dict[str, BreakerState] = {}
    for endpoint in endpoints.values():
        for tool, breaker in endpoint.breakers.items():
            worst[tool] = max(worst.get(tool, BreakerState.CLOSED), breaker.state)
    return worst


def _admits(endpoint: Endpoint, tool: str, client: ClientKey, now: float, limits: BreakerLimits) -> bool:
    breaker = endpoint.breakers.get(tool)
    return breaker is None or breaker.admits(client, now, limits)
