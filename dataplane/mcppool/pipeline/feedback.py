"""Effects of an attempt's outcome: latency for balancing, ejection of bad endpoints, the tool's circuit breaker."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.logs import get_logger
from mcppool.observe.recent_events import RecentEvents
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.routing.breakers import Breakers, abandoned
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.settings import Settings
from mcppool.policy.outlier_detection import may_eject_another
from mcppool.policy.retry_after import RetryAfterTable
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, BadAnswer, ConnectionLost, NoMemory, ServerFault, TimedOut

# A time-out is not among them: a slow tool would eject healthy endpoints. Suspicion finds hangs.
EJECTING = (ConnectionLost, ServerFault, BadAnswer)

FAILURE_LATENCY = 15.0  # seconds; lower bound on the latency of a failed attempt, where latency decides

log = get_logger("pool")


@dataclass(slots=True)
class Feedback:
    """Records the outcomes of attempts."""

    settings: Settings
    endpoints: Endpoints
    picker: Picker
    breakers: Breakers
    rests: RetryAfterTable[Endpoint]
    limited_log: LimitedLog
    recent: RecentEvents

    def succeeded(self, endpoint: Endpoint, plan: Plan, started: float) -> float:
        """An attempt that was `started` then got a valid answer. Returns the time, which the caller needs too."""
        now = monotonic()
        if endpoint.breakers:
            self.breakers.succeeded(plan, endpoint)
        endpoint.stats.answered_at = now
        endpoint.latency.observe(now - started, now)
        endpoint.success.observe(True, now)
        outlier = endpoint.health.outlier
        remembers = outlier.failures or outlier.ejections or outlier.ejected_until is not None
        if remembers and endpoint.health.call_answered(now, self.settings.outlier_limits):
            log.event("endpoint_recovered", pool=self.settings.name, endpoint=endpoint.key)
            endpoint.health.recovered()
        return now

    def undecided(self, endpoint: Endpoint, plan: Plan, *, internal_error: bool) -> float:
        """The answer was an error that says nothing about the endpoint: a 4xx about the request, or -32603
        (`internal_error`), which many servers give for any exception of a handler. Returns the time.

        It counts neither as failure nor as success: it opens no breaker, ejects nothing and ends no ejection, unless
        the pool counts -32603 for breakers (`circuit_breaker.count_internal_errors`).
        """
        now = endpoint.stats.answered_at = monotonic()
        if internal_error and self.settings.spec.circuit_breaker.count_internal_errors:
            self.breakers.failed(plan, endpoint, now)
        elif endpoint.breakers:
            abandoned(plan, endpoint)
        return now

    def failed(
        self,
        endpoint: Endpoint,
        plan: Plan,
        failure: AttemptFailed,
        started: float,
        *,
        refused_before: bool = False,
    ) -> None:
        """An attempt failed. `refused_before`: the call was refused elsewhere, so the rest that this endpoint asks for
        is about the call."""
        now = monotonic()
        if isinstance(failure, NoMemory):  # the endpoint had answered
            if endpoint.breakers:
                abandoned(plan, endpoint)
            return
        endpoint.stats.failed(failure)
        self.recent.add(endpoint.key, str(failure.reason), failure.detail, datetime.now(UTC))
        if failure.retry_after is not None and not refused_before:
            # Never longer than the longest ejection: a server must not rest longer by its own word.
            until = now + min(failure.retry_after, self.settings.outlier_limits.max_ejection_time)
            self.rests.begin(plan.kind, endpoint, until, now, self.picker.everyone)
        if not failure.sent:
            if endpoint.breakers:
                abandoned(plan, endpoint)
            return
        self.breakers.failed(plan, endpoint, now)
        if isinstance(failure, ConnectionLost):
            endpoint.wake_prober()  # it may be gone: then it is lost, and comes back with its first passed check
        if isinstance(failure, (*EJECTING, TimedOut)):
            endpoint.latency.penalise(max(now - started, FAILURE_LATENCY), now)
            endpoint.success.observe(False, now)
        if isinstance(failure, EJECTING) and endpoint.health.call_failed(
            plan.client, now, self.settings.outlier_limits, may_eject=self._may_eject()
        ):
            self._ejected(endpoint, failure.detail)

    def answered_elsewhere(self, endpoint: Endpoint) -> None:
        """Another endpoint answered a call that met a fault of this one: the fault is not the call's."""
        if endpoint.health.answered_elsewhere(monotonic(), self.settings.outlier_limits, may_eject=self._may_eject()):
            self._ejected(endpoint, endpoint.stats.last_fault)

    def _may_eject(self) -> bool:
        ejected = sum(e.health.outlier.ejected for e in self.endpoints.values())
        return may_eject_another(ejected, len(self.endpoints), self.settings.outlier_limits.max_ejection_percent)

    def _ejected(self, endpoint: Endpoint, why: str) -> None:
        self.limited_log.warning("endpoint_ejected", endpoint=endpoint.key, why=why)
        endpoint.health.ejected()
