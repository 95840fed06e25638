"""The attempts of a call: select an endpoint, make the attempt, decide the next step."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, NamedTuple

from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.admission.limits import Admission, Admitted, leave
from mcppool.pipeline.admission.notifications import NotificationAdmission
from mcppool.pipeline.attempt import Attempt, ResponseContext
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.direct_attempt import NO_HOME, DirectAttempt, Downstream, Steps
from mcppool.pipeline.exchange import Exchange
from mcppool.pipeline.feedback import Feedback
from mcppool.pipeline.hedging import Hedging
from mcppool.pipeline.local_reply.faults import answer_fault
from mcppool.pipeline.local_reply.rejection import give_rejection
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.peers import Limiter
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.probers import Probers
from mcppool.pipeline.request_id import reissue, reissue_small
from mcppool.pipeline.retries import Retries, RetryResources
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.routing.waiting_room import WaitingRoom
from mcppool.pipeline.sessions.failover import Failover
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.settings import Settings
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import (
    AttemptFailed,
    DeadlineExceeded,
    Hung,
    LimitReached,
    NoCredentials,
    RequestRejected,
    ServerRefused,
    SessionGone,
    SessionRejected,
    TimedOut,
    TokenRefused,
)
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import Response
from mcppool.upstream.timeouts import within

if TYPE_CHECKING:
    from mcppool.pipeline.tracing.durations import CallDurations
    from mcppool.pipeline.tracing.exchanges import TracedExchange

OVERLOADED = (ServerRefused, TimedOut)
"""Signs that an endpoint has too many calls."""

NONE_TRIED: tuple[Endpoint, ...] = ()

MAX_REJECTIONS = 3
"""Maximum number of session failovers of one call: more mean a server without sessions, not a restart."""


class Begun(NamedTuple):
    """An attempt that was begun by `Attempts.begin`, and the future of its answer."""

    attempt: DirectAttempt
    answer: asyncio.Future[Response]


@dataclass(slots=True)
class Attempts:
    """Makes the attempts of all calls of a pool. `admission` is None if the pool has no limits; it is replaced when
    they change, and `traced` and `durations` when tracing begins or ends."""

    settings: Settings
    picker: Picker
    waiting_room: WaitingRoom
    failover: Failover
    probers: Probers
    notifications: NotificationAdmission
    exchange: Exchange
    hedging: Hedging
    feedback: Feedback
    retry: RetryResources
    context: ResponseContext
    metrics: PoolMetrics
    admission: Admission | None = None
    durations: CallDurations | None = None
    traced: TracedExchange | None = None

    def begin(
        self, call: Call, plan: Plan, reply: Reply, outcome: Outcome, steps: Steps, downstream: Downstream
    ) -> DirectAttempt | None:
        """Begin the first attempt of a call that may run without a task; `steps.answered` or `steps.go_on` follows.
        None if it needs more than an endpoint and an idle connection: then nothing was sent."""
        now, request, session = call.received, call.request, call.session
        endpoint = self.picker.plain(plan, now) if session is None else self.failover.settled_home(session, NONE_TRIED)
        if endpoint is None:
            return None
        connection: Connection | None = None
        if endpoint.head.missing is None and not (endpoint.breakers and self.picker.tries(plan, endpoint)):
            connection = endpoint.connections.try_lease(now, unsafe=plan.unsafe)
        admitted: Admitted | None = None
        if connection is not None and self.admission is not None:
            admitted = self.admission.try_enter(call, plan, endpoint)
            if admitted is None:
                connection.release()
                connection = None
        if connection is None:
            if session is None:
                plan.picked = endpoint  # a second pick would pass over it
            return None
        self.retry.budget.start(now, call.principal.key)
        again = None
        if request.id == connection.carried and session is None:
            again = reissue_small(request, plan.body, 1)
        outcome.attempts = 1
        outcome.endpoint = endpoint
        attempt = DirectAttempt(
            self.context, call, plan, endpoint, reply, outcome, again, now, connection, steps, downstream, admitted
        )
        outcome.attempt = attempt
        attempt.movable = not plan.unsafe
        if session is not None:
            attempt.home = session.home
        downstream.under_way(attempt)
        if self.traced is None or outcome.trace is None:
            self.exchange.begin(attempt, attempt, connection)
        else:
            self.traced.begin(attempt, connection, outcome.trace)
        return attempt

    def answered(self, attempt: DirectAttempt) -> None:
        """An attempt that was begun by `begin` has its answer."""
        self.exchange.over(attempt, attempt.connection)
        self._answered(attempt, None)
        admitted = attempt.admitted
        if admitted is not None:
            if attempt.endpoint.concurrency is not None:
                self._teach(attempt, attempt.endpoint, admitted.in_flight)
            if admitted.place is not None:
                admitted.place.leave()
            leave(admitted.gates)
        attempt.outcome.attempt = None
        self.picker.attempt_over(attempt.endpoint, attempt.plan)

    async def run(self, call: Call, plan: Plan, reply: Reply, outcome: Outcome, begun: Begun | None = None) -> None:
        """Make attempts until there is an answer, or no more attempt is allowed. `begun` is the first one, if it was
        begun by `begin`; the caller leaves the gates that its call has entered."""
        retries: Retries | None = None
        failure: AttemptFailed | None = None
        if begun is None:
            self.retry.budget.start(call.received, call.principal.key)
        while True:
            try:
                endpoint = begun.attempt.endpoint if begun else await self._next(call, plan, retries)
            except AttemptFailed as nobody:
                why = await self.waiting_room.hold(call, plan, nobody)
                if why is None:
                    continue
                answer_fault(call, reply, failure or why, outcome)
                return
            home = begun.attempt.home if begun else call.session.home if call.session is not None else NO_HOME
            first, begun = begun, None
            try:
                await self._try(call, plan, endpoint, reply, outcome, retries, failure, first)
                return
            except TokenRefused as refused:
                if isinstance(failure, TokenRefused) or not await _settled(endpoint, plan.deadline):
                    answer_fault(call, reply, refused, outcome)
                    return
                failure = refused.kept()
                continue
            except (LimitReached, NoCredentials) as ours:
                answer_fault(call, reply, failure if isinstance(ours, LimitReached) and failure else ours, outcome)
                return
            except AttemptFailed as error:
                failure = error.kept()
            retries = retries or Retries(self.retry, call.request.method)
            wait, failure = await self.decide(plan, retries, call.session, home, endpoint, failure)
            if wait is None:
                _give_up(call, reply, failure, outcome)
                return
            self.metrics.retry(str(failure.error_class), plan.tool)
            if wait:
                await asyncio.sleep(wait)

    # --- select --------------------------------------------------------------------------------------------------

    async def _next(self, call: Call, plan: Plan, retries: Retries | None) -> Endpoint:
        """The endpoint of the next attempt. Raises AttemptFailed if there is none."""
        if call.session is None:
            endpoint = self._choose(plan, retries)
        else:
            endpoint = self._settled(call.session, plan, retries) or await self._home(call, plan, retries)
        if call.request.method == "initialize":
            await self._witness(endpoint, plan.deadline)
        return endpoint

    def _choose(self, plan: Plan, retries: Retries | None) -> Endpoint:
        """The endpoint of the next attempt of a call without a session. Raises AttemptFailed if there is none."""
        if retries is None:
            return self.picker.endpoint_for(plan, (), monotonic())
        if retries.only is None:
            return self.picker.endpoint_for(plan, retries.tried, monotonic())
        return self.picker.admit(plan, retries.only, monotonic())

    def _settled(self, session: Session, plan: Plan, retries: Retries | None) -> Endpoint | None:
        """The endpoint where the call's session lives, if it may stay there. Raises AttemptFailed."""
        home = self.failover.settled_home(session, () if retries is None else retries.tried)
        return None if home is None else self.picker.admit(plan, home, monotonic())

    async def _home(self, call: Call, plan: Plan, retries: Retries | None) -> Endpoint:
        """The endpoint where the call's session lives. Raises AttemptFailed if it lives nowhere."""
        assert call.session is not None
        tried = retries.tried if retries is not None else ()
        return self.picker.admit(plan, await self.failover.home_of(call.session, tried, plan.deadline), monotonic())

    async def _witness(self, endpoint: Endpoint, deadline: float) -> None:
        """Make sure that the prober's session at `endpoint` is older than the client's new one.

        Raises DeadlineExceeded if that takes longer than the call may.
        """
        try:
            async with within(deadline - monotonic()):
                await self.probers.witness(endpoint)
        except TimeoutError:
            why = "the check before its session did not end before the call's deadline"
            raise DeadlineExceeded(why) from None

    # --- try -----------------------------------------------------------------------------------------------------

    async def _try(
        self,
        call: Call,
        plan: Plan,
        endpoint: Endpoint,
        reply: Reply,
        outcome: Outcome,
        retries: Retries | None,
        former: AttemptFailed | None,
        begun: Begun | None,
    ) -> None:
        """One attempt, and the lessons from it. `former` is the failure of the attempt before; `begun` is the attempt
        if it was begun by `begin`.

        Raises AttemptFailed while nothing has gone to the client.
        """
        started = monotonic() if begun is None else begun.attempt.started
        place: Limiter | None = None if begun is None else begun.attempt.place
        try:
            if begun is not None:
                await (self.traced or self.exchange).run(begun.attempt, begun.answer)
                self._answered(begun.attempt, None)
                if begun.attempt.admitted is not None:
                    self._teach(begun.attempt, begun.attempt.endpoint, begun.attempt.admitted.in_flight)
                return
            if call.request.id is None:
                place = await self.notifications.at(endpoint, call, plan)
            elif self.admission is not None:
                place = await self.admission.at(endpoint, plan, again=former is not None)
                started = monotonic()
            in_flight = endpoint.active + 1
            outcome.attempts += 1
            outcome.endpoint = endpoint
            again = await reissue(call.request, plan.body, outcome.attempts) if retries and retries.sent else None
            attempt = Attempt(self.context, call, plan, endpoint, reply, outcome, again, started)
            outcome.attempt = attempt
            attempt.movable = not plan.unsafe and not isinstance(former, Hung)
            if plan.hedge_after is None or call.session is not None:
                await (self.traced or self.exchange).run(attempt)
            else:
                await self.hedging.run(attempt, plan.hedge_after)
            self._answered(attempt, retries)
            self._teach(attempt, endpoint, in_flight)
        except (LimitReached, NoCredentials):
            raise
        except AttemptFailed as error:
            outcome.failed(error)
            if self.durations is not None:
                self.durations.failed(call, plan.tool, error, monotonic() - started)
            refused = retries is not None and retries.refused > 0
            self.feedback.failed(endpoint, plan, error, started, refused_before=refused)
            if self.admission is not None and isinstance(error, OVERLOADED):
                self.admission.overloaded(endpoint)
            raise
        finally:
            outcome.attempt = None  # it holds the outcome: the cycle would keep the call and its body in memory
            if place is not None:
                place.leave()
            self.picker.attempt_over(endpoint, plan)

    def _teach(self, attempt: Attempt, endpoint: Endpoint, in_flight: int) -> None:
        """Tell the limit of the endpoint, if it adapts, how long an answer took: not an error about the request, which
        comes sooner, nor the answer of another endpoint."""
        if endpoint.concurrency is None:
            return
        outcome, call = attempt.outcome, attempt.call
        if self.admission is not None and attempt.endpoint is endpoint and not (outcome.neutral or outcome.cut):
            name = attempt.plan.tool or call.request.method or ""
            self.admission.answered(endpoint, name, outcome.ended - attempt.started, in_flight)

    def _answered(self, attempt: Attempt, retries: Retries | None) -> None:
        """The client has its answer, or a part of one."""
        outcome, plan = attempt.outcome, attempt.plan
        outcome.began = attempt.started
        if outcome.cut is not None:  # the client has a part of it: neither a second attempt nor a success
            outcome.learn("yes")
            self.feedback.failed(attempt.endpoint, plan, outcome.cut, attempt.started)
            return
        if outcome.neutral:
            outcome.ended = self.feedback.undecided(attempt.endpoint, plan, internal_error=outcome.internal_error)
        else:
            outcome.ended = self.feedback.succeeded(attempt.endpoint, plan, attempt.started)
        if retries is not None:
            retries.succeeded(plan, attempt.endpoint, about_the_request=outcome.neutral)

    # --- decide --------------------------------------------------------------------------------------------------

    async def decide(
        self,
        plan: Plan,
        retries: Retries,
        session: Session | None,
        home: tuple[str, str],
        endpoint: Endpoint,
        failure: AttemptFailed,
    ) -> tuple[float | None, AttemptFailed]:
        """The seconds that a failed call waits for its next attempt, None if there is none; and the failure to report.
        `home` is the endpoint where its session lived when it was sent."""
        if session is None:
            return retries.next_wait(plan, endpoint, failure, None), failure
        if isinstance(failure, SessionRejected):
            retries.rejections += 1
            if retries.rejections >= MAX_REJECTIONS:
                return None, failure
            try:
                recovers = await self.failover.recovers(session, endpoint, home, failure, retries.tried, plan.deadline)
                return (0.0 if recovers else None), failure
            except AttemptFailed as other:  # no endpoint takes the session now; or the session still exists
                if not other.sent:
                    return None, other
                failure = other.kept()
        wait = retries.next_wait(plan, endpoint, failure, session)
        stays = self.settings.spec.sessions.on_loss == "fail"
        if wait is None and not failure.sent and endpoint.lost and stays:
            return None, SessionGone(failure.detail)
        return wait, failure


async def _settled(endpoint: Endpoint, deadline: float) -> bool:
    """Wait for new credentials; returns False if that takes longer than the call may."""
    try:
        async with within(deadline - monotonic()):
            await endpoint.head.settle()
    except TimeoutError:
        return False
    return True


def _give_up(call: Call, reply: Reply, failure: AttemptFailed, outcome: Outcome) -> None:
    if isinstance(failure, RequestRejected):
        give_rejection(call, reply, outcome, failure.status, failure.error)
    else:
        answer_fault(call, reply, failure, outcome)
