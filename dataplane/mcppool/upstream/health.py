"""The health of one endpoint: the only module that changes it.

`EndpointHealth` keeps the records of checks, ejections and silences, and moves the state by
`policy.endpoint_health`. Everyone else reads `state` and reports events.
"""

from __future__ import annotations

from collections import deque
from time import monotonic
from typing import Generic, Protocol, TypeVar

from mcppool.policy.consecutive_failures import ClientKey
from mcppool.policy.endpoint_health import EndpointState, Facts, HealthEvent, next_state
from mcppool.policy.hang_detection import Silences
from mcppool.policy.health_check import HealthState
from mcppool.policy.outlier_detection import OutlierLimits, OutlierState
from mcppool.spec import PoolSpec
from mcppool.upstream.failures import ConnectFailed
from mcppool.upstream.http.connection_pool import ConnectionPool
from mcppool.upstream.stats import EndpointStats


class HealthOwner(Protocol):
    """The endpoint that owns this health."""

    active: int
    stats: EndpointStats
    connections: ConnectionPool

    def health_changed(self, before: EndpointState, why: str) -> None:
        """Its availability changed, it was lost, or a silence began or ended."""


OwnerT = TypeVar("OwnerT", bound=HealthOwner)


class ProbationQueue(deque[OwnerT]):
    """Endpoints of a pool that wait for a trial call, in turn. Only their health and the picker change the queue; the
    picker takes the first."""

    def offer(self, endpoint: OwnerT) -> None:
        """Let the next suitable call be the trial of `endpoint`."""
        if endpoint not in self:
            self.append(endpoint)

    def withdraw(self, endpoint: OwnerT) -> None:
        """Cancel the trial of `endpoint`."""
        if endpoint in self:
            self.remove(endpoint)


class EndpointHealth(Generic[OwnerT]):
    """The state of an endpoint and the records behind it.

    Only `_move` changes `state`. `available_since` is the time at which it last became available (monotonic seconds),
    where its slow start begins; None without slow start. `refuses_checks` is the HTTP status of its refusals of
    checks. `contacted`: a check has a connection to it and its answer may still come. `suspected`: a call waits
    unusually long and the prober looks; `looked` is the time of its last look. `since` is the time at which the state
    last changed (monotonic seconds). `blemished`: an answer to a call matters, because `outlier` remembers failures or
    ejections; each call reads this in place of them.
    """

    __slots__ = (
        "_owner", "_probation", "available_since", "blemished", "checks", "contacted", "looked", "outlier",
        "refuses_checks", "silences", "since", "state", "suspected",
    )  # fmt: skip

    def __init__(
        self, owner: OwnerT, probation: ProbationQueue[OwnerT], *, joining: bool = False, draining: bool = False
    ) -> None:
        self._owner = owner
        self._probation = probation
        self.state = EndpointState.JOINING if joining else EndpointState.AVAILABLE
        if draining:
            self.state = EndpointState.DRAINING
        self.since = monotonic()
        self.checks = HealthState()
        self.outlier = OutlierState()
        self.blemished = False
        self.silences = Silences()
        self.refuses_checks: int | None = None
        self.available_since: float | None = None
        self.contacted = False
        self.suspected = False
        self.looked = 0.0

    @property
    def well(self) -> bool:
        """Whether its active checks pass and it is not ejected."""
        return not self.state.lost and self.checks.healthy and not self.outlier.ejected

    @property
    def busy(self) -> bool:
        """Whether it is silent now and expected to answer again: new calls prefer others, and it keeps its calls in
        flight."""
        return self.silences.since is not None and not self.state.lost

    # --- the operator's orders -----------------------------------------------------------------------------------

    def drain(self) -> None:
        """Take no new call."""
        self._move(HealthEvent.DRAINED, "it is being removed")

    def resume(self, why: str) -> None:
        """Take calls again after `drain`."""
        self._move(HealthEvent.RESUMED, why)

    # --- checks --------------------------------------------------------------------------------------------------

    def checked(self, passed: bool, pool: PoolSpec, why: str = "") -> None:
        """Record the result of an active check. A good one brings back a lost endpoint."""
        if passed:
            why = "its first check was answered" if self.state is EndpointState.JOINING else "a check was answered"
            self.refuses_checks = None
            self._owner.stats.answered = True
            self._answers()
        self._count_check(passed, pool, why, lost=self.state.lost)
        self._move(HealthEvent.CHECK_PASSED if passed else HealthEvent.CHECK_FAILED, why)

    def checks_refused(self, status: int | None, pool: PoolSpec, why: str) -> None:
        """It refuses checks with `status`: the picker prefers other endpoints, and uses it if there are none."""
        self.refuses_checks = status
        self._answers()
        self._count_check(False, pool, why, lost=False)
        self._move(HealthEvent.CHECK_REFUSED, why)

    def starts(self) -> None:
        """It has not answered yet, and its first check takes long: the picker prefers others until a check passes."""
        stats = self._owner.stats
        if not stats.answered and stats.requests - stats.failures - self._owner.active <= 0:
            self._move(HealthEvent.STARTS, "it has not answered yet")

    def contact(self, begun: bool) -> None:
        """A check has connected to it, or has ended."""
        self.contacted = begun

    # --- loss and silence ----------------------------------------------------------------------------------------

    def connect_failed(self, failure: ConnectFailed) -> None:
        """No connection to it could be made: it is lost, unless this process is the reason."""
        self._owner.stats.last_fault = failure.detail
        if failure.ours:
            return
        if failure.silent:
            self.hangs()
        else:
            self.unreachable()

    def unreachable(self) -> None:
        """It refuses connections: lost until a check passes. The next process there starts with clean records."""
        self.silences.forget()
        self._owner.connections.doubt()
        self._lose(HealthEvent.CONNECTION_REFUSED)

    def hangs(self) -> None:
        """It hangs: lost until a check passes."""
        self._lose(HealthEvent.HANGS)

    def falls_silent(self, since: float, why: str) -> None:
        """It accepts connections and has been silent since then, while it holds a call."""
        self._owner.stats.last_fault = why
        if not self.state.lost and self.silences.since is None:
            self.silences.begin(since)
            self._move(HealthEvent.SILENT, why, tell=True)

    def process_restarted(self, now: float) -> None:
        """A new process runs there since `now`."""
        self.silences.begin_anew(now)

    def suspect(self) -> bool:
        """A call waits unusually long; returns whether the prober should look, which it does once at a time."""
        begins, self.suspected = not self.suspected, True
        return begins

    def suspicion_over(self, now: float) -> None:
        """The prober has finished its look."""
        self.suspected = False
        self.looked = now

    # --- answers to calls ----------------------------------------------------------------------------------------

    def call_answered(self, now: float, limits: OutlierLimits, *, trial: bool = False) -> bool:
        """A call got a valid answer; returns whether that ended an ejection. Call `recovered` then. `trial`: it was the
        trial of another process."""
        recovers = self.outlier.succeeded(now, limits, trial=trial)
        self.blemished = not self.outlier.clean
        return recovers

    def recovered(self) -> None:
        """Its trial call during probation was answered."""
        self._move(HealthEvent.RECOVERED, "its trial call was answered")

    def call_failed(
        self, client: ClientKey, now: float, limits: OutlierLimits, *, may_eject: bool, trial: bool = False
    ) -> bool:
        """A call of `client` failed because of the endpoint; returns whether to eject it. Call `ejected` then. `trial`:
        as in `call_answered`."""
        trial_failed = self.outlier.probation
        ejects = self.outlier.failed(client, now, limits, may_eject=may_eject, trial=trial)
        self.blemished = True
        if trial_failed:
            self._move(HealthEvent.EJECTED)
        return ejects

    def answered_elsewhere(self, now: float, limits: OutlierLimits, *, may_eject: bool) -> bool:
        """Another endpoint answered a call that failed here; returns whether to eject this one. Call `ejected` then."""
        return self.outlier.answered_elsewhere(now, limits, may_eject=may_eject)

    def ejected(self, *, heard: bool = False) -> None:
        """It is ejected, because its answers to calls were bad. `heard`: another process counts the ejection."""
        if not heard:
            self._owner.stats.ejections += 1
        self._move(HealthEvent.EJECTED)

    def tick(self, now: float) -> None:
        """Begin probation when the ejection time is over, and offer the trial again if the last one gave no verdict."""
        if self.outlier.due(now):
            self._move(HealthEvent.EJECTION_OVER)
        if self.state is EndpointState.PROBATION:
            self.trial_over()

    def trial_over(self) -> None:
        """Its trial call ended without a verdict: another call may be the next trial."""
        if self.state is EndpointState.PROBATION and not self._owner.active:
            self._probation.offer(self._owner)

    def slow_start_over(self) -> None:
        """It has its full weight."""
        self.available_since = None

    # --- inside --------------------------------------------------------------------------------------------------

    def _count_check(self, passed: bool, pool: PoolSpec, why: str, *, lost: bool) -> None:
        stats, checks = self._owner.stats, pool.health_check
        stats.checks += 1
        if not passed:
            stats.failed_checks += 1
            stats.last_fault = why
        if lost:
            self.checks = HealthState()  # one good check brings it back; the failed ones so far had the same cause
            if passed:
                self._owner.connections.warm_up()
        else:
            self.checks.record(
                passed,
                unhealthy_threshold=checks.unhealthy_threshold,
                healthy_threshold=checks.healthy_threshold,
            )

    def _answers(self) -> None:
        """It answers: any silence is over."""
        self._owner.connections.forget_given_up()
        if self.silences.since is not None:
            lasted = self.silences.end(monotonic())
            if not self.state.lost:
                self._move(HealthEvent.ANSWERS_AGAIN, f"it answers again after {lasted:.1f} s", tell=True)

    def _lose(self, event: HealthEvent) -> None:
        self.refuses_checks = None
        if not self.state.lost:
            self.outlier = OutlierState()  # this was the reason for its failed calls
            self.blemished = False
            self._owner.stats.ejections += 1
            self._move(event)

    def _move(self, event: HealthEvent, why: str = "", *, tell: bool = False) -> None:
        """The only transition. The owner gets `why` as the cause, or the last fault without it."""
        before = self.state
        facts = Facts(
            ejected=self.outlier.ejected,
            on_trial=self.outlier.probation,
            checks_pass=self.checks.healthy,
            silent=self.silences.since is not None,
            answered=self._owner.stats.answered or self.refuses_checks is not None,
        )
        self.state = after = next_state(before, event, facts)
        turned = after.available is not before.available
        if turned:
            self.available_since = monotonic() if after.available else None
        if after is not before:
            self.since = monotonic()
            if after is EndpointState.PROBATION:
                self.trial_over()
            elif before is EndpointState.PROBATION:
                self._probation.withdraw(self._owner)
        if tell or turned or (after.lost and not before.lost):
            self._owner.health_changed(before, why or self._owner.stats.last_fault)
