"""What an attempt teaches: latency for balancing, ejection of what answers badly, the breaker of the tool."""

from __future__ import annotations

from datetime import UTC, datetime
from time import monotonic
from typing import TYPE_CHECKING

from mcppool.observe.logs import get_logger
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.routing import breakers
from mcppool.policy.outlier_detection import may_eject_another
from mcppool.upstream.failures import AttemptFailed, BadAnswer, ConnectionLost, NoMemory, ServerFault, TimedOut

if TYPE_CHECKING:
    from mcppool.pipeline.pool.pool import ServerPool
    from mcppool.upstream.endpoint import Endpoint

# A time-out is none of them: a slow tool would take healthy endpoints out. What hangs is found by suspicion.
EJECTING = (ConnectionLost, ServerFault, BadAnswer)

FAILURE_LATENCY = 15.0  # seconds; what a failed attempt counts as, at least, where latency decides

log = get_logger("pool")


def succeeded(pool: ServerPool, endpoint: Endpoint, plan: Plan, started: float) -> float:
    """A valid answer came to an attempt that was `started` then. Returns the time, which the caller needs too."""
    now = monotonic()
    if endpoint.breakers:
        breakers.succeeded(pool, plan, endpoint)
    endpoint.latency.observe(now - started, now)
    endpoint.success.observe(True, now)
    outlier = endpoint.outlier
    remembers = outlier.failures or outlier.ejections or outlier.ejected_until is not None
    if remembers and outlier.succeeded(now, pool.outlier_limits):
        log.event("endpoint_recovered", pool=pool.name, endpoint=endpoint.key)
        endpoint.refresh("the call that tried it was answered")
    return now


def undecided(pool: ServerPool, endpoint: Endpoint, plan: Plan, *, internal_error: bool) -> float:
    """The answer was an error that says nothing of the endpoint: a 4xx about the request, or -32603
    (`internal_error`), which many servers give for whatever a handler raises. Returns the time.

    Neither a failure nor a success: it opens and ejects nothing and ends no ejection, unless the pool counts -32603
    for breakers (`circuit_breaker.count_internal_errors`).
    """
    now = monotonic()
    if internal_error and pool.spec.circuit_breaker.count_internal_errors:
        breakers.failed(pool, plan, endpoint, now)
    elif endpoint.breakers:
        breakers.abandoned(plan, endpoint)
    return now


def failed(
    pool: ServerPool,
    endpoint: Endpoint,
    plan: Plan,
    failure: AttemptFailed,
    started: float,
    *,
    refused_before: bool = False,
) -> None:
    """An attempt failed. `refused_before`: the call was refused elsewhere, so that a rest which the endpoint asks for
    is about the call."""
    now = monotonic()
    if isinstance(failure, NoMemory):  # its answer was there
        if endpoint.breakers:
            breakers.abandoned(plan, endpoint)
        return
    endpoint.stats.failed(failure)
    pool.recent.add(endpoint.key, str(failure.reason), failure.detail, datetime.now(UTC))
    if failure.retry_after is not None and not refused_before:
        # Never longer than the longest ejection: what a server says of itself must not take it out for longer.
        until = now + min(failure.retry_after, pool.outlier_limits.max_ejection_time)
        pool.rests.begin(plan.kind, endpoint, until, now, pool.choice.everyone)
    if not failure.sent:
        if endpoint.breakers:
            breakers.abandoned(plan, endpoint)
        return
    breakers.failed(pool, plan, endpoint, now)
    if isinstance(failure, ConnectionLost):
        endpoint.wake_prober()  # is it gone? Then it is lost, and comes back with its first good check
    if isinstance(failure, (*EJECTING, TimedOut)):
        endpoint.latency.penalise(max(now - started, FAILURE_LATENCY), now)
        endpoint.success.observe(False, now)
    if isinstance(failure, EJECTING) and endpoint.outlier.failed(
        plan.client, now, pool.outlier_limits, may_eject=_may_eject(pool)
    ):
        _ejected(pool, endpoint, failure.detail)


def answered_elsewhere(pool: ServerPool, endpoint: Endpoint) -> None:
    """A call that met a fault of the endpoint was answered by another one: the fault is not the call's."""
    if endpoint.outlier.answered_elsewhere(monotonic(), pool.outlier_limits, may_eject=_may_eject(pool)):
        _ejected(pool, endpoint, endpoint.stats.last_fault)


def _may_eject(pool: ServerPool) -> bool:
    ejected = sum(e.outlier.ejected for e in pool.endpoints.values())
    return may_eject_another(ejected, len(pool.endpoints), pool.outlier_limits.max_ejection_percent)


def _ejected(pool: ServerPool, endpoint: Endpoint, why: str) -> None:
    endpoint.stats.ejections += 1
    pool.log.warning("endpoint_ejected", endpoint=endpoint.key, why=why)
    endpoint.refresh()
