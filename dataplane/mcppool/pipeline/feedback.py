"""Effects of an attempt's outcome: latency for balancing, ejection of bad endpoints, the tool's circuit breaker."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import monotonic

from mcppool.observe.limited_log import LimitedLog
from mcppool.observe.logs import get_logger
from mcppool.observe.recent_events import RecentEvents
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.peers import OF_ONE_PROCESS, Lesson, News, Peers
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.routing.breakers import Breakers
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.routing.trials import Trials
from mcppool.pipeline.settings import Settings
from mcppool.policy.consecutive_failures import ClientKey
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
    """Records the outcomes of attempts, and what the other processes of the gateway learn from theirs."""

    settings: Settings
    endpoints: Endpoints
    picker: Picker
    breakers: Breakers
    trials: Trials
    rests: RetryAfterTable[Endpoint]
    limited_log: LimitedLog
    recent: RecentEvents
    _peers: Peers | None = field(default=None, init=False)

    def succeeded(self, endpoint: Endpoint, plan: Plan, started: float) -> float:
        """An attempt that was `started` then got a valid answer. Returns the time, which the caller needs too."""
        now = monotonic()
        if endpoint.breakers and self.breakers.succeeded(plan.tool, plan.client, endpoint):
            self._tell(Lesson.TOOL_ANSWERED, endpoint, plan)
        endpoint.stats.answered_at = now
        endpoint.latency.observe(now - started, now)
        endpoint.success.succeed()
        if endpoint.health.blemished:
            outlier = endpoint.health.outlier
            if outlier.failures or outlier.probation:
                self._tell(Lesson.ANSWERED, endpoint, plan, trial=outlier.probation)
            self._answered(endpoint, now)
        return now

    def undecided(self, endpoint: Endpoint, plan: Plan, *, internal_error: bool) -> float:
        """The answer was an error that says nothing about the endpoint: a 4xx about the request, or -32603
        (`internal_error`), which many servers give for any exception of a handler. Returns the time.

        It counts neither as failure nor as success: it opens no breaker, ejects nothing and ends no ejection, unless
        the pool counts -32603 for breakers (`circuit_breaker.count_internal_errors`).
        """
        now = endpoint.stats.answered_at = monotonic()
        if internal_error and self.settings.spec.circuit_breaker.count_internal_errors:
            trial = self.breakers.failed(plan.tool, plan.client, endpoint, now)
            self._tell(Lesson.FAILED, endpoint, plan, trial=trial)
        elif endpoint.breakers:
            self.breakers.abandoned(plan, endpoint)
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
                self.breakers.abandoned(plan, endpoint)
            return
        endpoint.stats.failed(failure)
        self.recent.add(endpoint.key, str(failure.reason), failure.detail, datetime.now(UTC))
        if failure.retry_after is not None and not refused_before:
            # Never longer than the longest ejection: a server must not rest longer by its own word.
            seconds = min(failure.retry_after, self.settings.outlier_limits.max_ejection_time)
            self.rests.begin(plan.kind, endpoint, now + seconds, now, self.picker.everyone)
            if self._peers is not None:
                name, principal = plan.kind
                self._peers.tell(News(Lesson.RESTS, endpoint.key, name=name, principal=principal, seconds=seconds))
        if not failure.sent:
            if endpoint.breakers:
                self.breakers.abandoned(plan, endpoint)
            return
        trial = self.breakers.failed(plan.tool, plan.client, endpoint, now)
        bad = isinstance(failure, EJECTING)
        if bad and endpoint.health.outlier.probation:
            self.trials.failed(endpoint, now)
            trial = True
        self._tell(Lesson.BAD if bad else Lesson.FAILED, endpoint, plan, trial=trial)
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
        if self._peers is not None and endpoint.health.outlier.failures:
            self._peers.tell(News(Lesson.ELSEWHERE, endpoint.key))
        if endpoint.health.answered_elsewhere(monotonic(), self.settings.outlier_limits, may_eject=self._may_eject()):
            self._ejected(endpoint, endpoint.stats.last_fault)

    def _may_eject(self) -> bool:
        ejected = sum(e.health.outlier.ejected for e in self.endpoints.values())
        return may_eject_another(ejected, len(self.endpoints), self.settings.outlier_limits.max_ejection_percent)

    def _answered(self, endpoint: Endpoint, now: float, *, trial: bool = False) -> None:
        if endpoint.health.call_answered(now, self.settings.outlier_limits, trial=trial):
            log.event("endpoint_recovered", pool=self.settings.name, endpoint=endpoint.key)
            endpoint.health.recovered()

    def _ejected(self, endpoint: Endpoint, why: str, *, heard: bool = False) -> None:
        self.limited_log.warning("endpoint_ejected", endpoint=endpoint.key, cause=why)
        endpoint.health.ejected(heard=heard)

    # --- other processes of the gateway --------------------------------------------------------------------------

    def listen_to(self, peers: Peers) -> None:
        """Share with the other processes what calls show about endpoints."""
        self._peers = peers
        peers.hear(self._heard)

    def _tell(self, what: Lesson, endpoint: Endpoint, plan: Plan, *, trial: bool = False) -> None:
        if self._peers is not None:
            client = _name(plan.client.key), _name(plan.client.origin)
            self._peers.tell(News(what, endpoint.key, plan.tool, *client, trial=trial))

    def _heard(self, news: News) -> None:
        """Apply what another process has learned, as if the attempt had been made here."""
        endpoint = self.endpoints.get(news.endpoint)
        if endpoint is None:
            return
        now, limits = monotonic(), self.settings.outlier_limits
        client = ClientKey(news.client, news.origin)
        elsewhere = "seen by another process of the gateway"
        match news.what:
            case Lesson.FAILED | Lesson.BAD:
                self.breakers.failed_elsewhere(news.tool, client, endpoint, now, trial=news.trial)
                if news.what is Lesson.BAD and endpoint.health.call_failed(
                    client, now, limits, may_eject=self._may_eject(), trial=news.trial
                ):
                    self._ejected(endpoint, endpoint.stats.last_fault or elsewhere, heard=True)
            case Lesson.TOOL_ANSWERED:
                self.breakers.succeeded(news.tool, client, endpoint, heard=True)
            case Lesson.ANSWERED:
                self._answered(endpoint, now, trial=news.trial)
            case Lesson.ELSEWHERE:
                if endpoint.health.answered_elsewhere(now, limits, may_eject=self._may_eject()):
                    self._ejected(endpoint, endpoint.stats.last_fault or elsewhere, heard=True)
            case Lesson.RESTS:
                self.rests.begin((news.name, news.principal), endpoint, now + news.seconds, now, self.picker.everyone)


def _name(client: Hashable) -> str:
    """A client's name for other processes. The name of a connection, a number, begins with `peers.OF_ONE_PROCESS`."""
    return client if isinstance(client, str) else f"{OF_ONE_PROCESS}{client}"
