"""The path of a call, top to bottom: access rules, plan, local reply, cache, admission, attempts, access log.

`Pipeline.serve` is one coroutine. Each step releases in `finally` what it has acquired, so that the call can be
cancelled at any await: a modern client that disconnects cancels its call. `Pipeline.begin` does without the coroutine
as long as it can (decision 0026).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from dataclasses import dataclass
from functools import partial
from time import monotonic
from typing import Final

from mcppool.pipeline.access.control import AccessControl
from mcppool.pipeline.access_log import AccessLog
from mcppool.pipeline.admission.limits import leave
from mcppool.pipeline.admission.notifications import NotificationAdmission
from mcppool.pipeline.attempts import Attempts, Begun
from mcppool.pipeline.caching.step import Caching
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.direct_attempt import DirectAttempt, Downstream, Rest
from mcppool.pipeline.local_reply.discover import LocalReplies
from mcppool.pipeline.local_reply.faults import answer_fault, answer_refusal
from mcppool.pipeline.on_behalf import OnBehalf
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.plan import Plan, make_plan
from mcppool.pipeline.response.cancellation import Cancellations
from mcppool.pipeline.response.server_requests import ClientAnswers
from mcppool.pipeline.routing.pins import Pins
from mcppool.pipeline.sessions.failover import Failover
from mcppool.pipeline.sessions.get_stream import GetStreams
from mcppool.pipeline.sessions.sealed_ids import Sessions
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.settings import Settings
from mcppool.pipeline.subscriptions.hub import SubscriptionHub
from mcppool.pipeline.workload import WorkloadSample
from mcppool.policy.access_rules import AccessRules
from mcppool.upstream.failures import AttemptFailed, AuditFull, NoCredentials, SessionGone, UpstreamAuth
from mcppool.upstream.http.response import Response
from mcppool.upstream.timeouts import within
from mcppool.wire.bulk import BULK
from mcppool.wire.era import Era
from mcppool.wire.errors import INVALID_PARAMS

_NEVER_DIRECT: Final = frozenset({"initialize", "subscriptions/listen"})
"""Methods with steps of their own."""


@dataclass(slots=True)
class Pipeline:
    """The steps of a pool's calls. `caching` is None if the pool has no cache; it is replaced when that changes."""

    settings: Settings
    pins: Pins
    sessions: Sessions
    failover: Failover
    local_replies: LocalReplies
    get_streams: GetStreams
    cancellations: Cancellations
    client_answers: ClientAnswers
    hub: SubscriptionHub
    notifications: NotificationAdmission
    attempts: Attempts
    access: AccessControl
    access_log: AccessLog
    workload: WorkloadSample
    caching: Caching | None = None
    on_behalf: OnBehalf | None = None

    async def serve(self, call: Call, reply: Reply, outcome: Outcome | None = None) -> Outcome:
        """Answer `call` through `reply` in every case, and return its outcome. It raises only cancellation: a caller
        that passes `outcome` sees there how far the call had come."""
        outcome = outcome or Outcome()
        rules = self.settings.access
        if (rules is not None or self.access_log.audit is not None) and not self._admits(rules, call, reply, outcome):
            self.access_log.refused(call, outcome)
            return outcome
        conceal = self.access.conceal(rules, call) if rules is not None else None
        plan = make_plan(call, self.settings, self.pins, conceal)
        if call.session is not None:
            self._begin(call, call.session, outcome)
        return await self._planned(call, plan, reply, outcome, None)

    def begin(self, call: Call, reply: Reply, outcome: Outcome, downstream: Downstream, /) -> Rest | None:
        """Begin a call. Returns None if it is under way without a task, as most are: then `downstream` hears of its
        end, or gets the rest of it. Otherwise nothing was sent, and the returned coroutine does what `serve` does."""
        if (
            self.settings.access is not None or self.access_log.audit is not None or self.on_behalf is not None
        ) and not self._admits_at_once(self.settings.access, call, outcome):
            return self.serve(call, reply, outcome)
        plan, session = make_plan(call, self.settings, self.pins), call.session
        if session is not None:
            self._begin(call, session, outcome)
        if (
            self._is_direct(call, plan, session)
            and self.attempts.begin(call, plan, reply, outcome, self, downstream) is not None
        ):
            if self.workload.left and plan.tool is not None:
                self.workload.begin(call, plan, outcome)
            return None
        return self._planned(call, plan, reply, outcome, None)

    def _is_direct(self, call: Call, plan: Plan, session: Session | None) -> bool:
        """Whether the call has no step but its attempts."""
        request = call.request
        return (
            request.id is not None
            and plan.refusal is None
            and plan.kept is None
            and plan.hedge_after is None
            and len(plan.body) <= BULK
            and (session is None or not session.unseen)
            and request.method not in _NEVER_DIRECT
            and not self.local_replies.is_local(call)
        )

    def answered(self, attempt: DirectAttempt) -> None:
        """A call that was begun by `begin` has its answer."""
        call, outcome = attempt.call, attempt.outcome
        self.attempts.answered(attempt)
        if call.session is not None:
            self._end(call, call.session, outcome)
        self.access_log.finished(call, attempt.plan, outcome)

    def go_on(self, attempt: DirectAttempt, answer: asyncio.Future[Response]) -> Rest:
        """The rest of a call that `begin` has begun; `answer` is the answer to its first attempt."""
        return self._planned(attempt.call, attempt.plan, attempt.reply, attempt.outcome, Begun(attempt, answer))

    async def _planned(self, call: Call, plan: Plan, reply: Reply, outcome: Outcome, begun: Begun | None) -> Outcome:
        """The steps behind the plan."""
        session = call.session
        try:
            if begun is not None:
                await self.attempts.run(call, plan, reply, outcome, begun)
            elif self.on_behalf is not None:
                await self._steps_on_behalf(self.on_behalf, call, plan, reply, outcome)
            elif (
                session is None
                or _is_usual(call, session)
                or not await self._session_steps(call, plan, session, reply, outcome)
            ):
                await self._steps(call, plan, reply, outcome)
        except AttemptFailed as failure:  # this client must not see cached answers, or local replies
            answer_fault(call, reply, failure, outcome)
        finally:
            if begun is not None and begun.attempt.admitted is not None:
                leave(begun.attempt.admitted.gates)
            if session is not None:
                self._end(call, session, outcome)
            self.access_log.finished(call, plan, outcome)
        return outcome

    def _begin(self, call: Call, session: Session, outcome: Outcome) -> None:
        """A call of a session begins: the client may cancel it by its id."""
        if call.verb == b"DELETE":
            self.sessions.end(session)
        if call.request.id is not None:
            session.streams.begin(call.request.id, outcome)

    def _end(self, call: Call, session: Session, outcome: Outcome) -> None:
        """A call of a session is over."""
        if call.request.id is not None:
            session.streams.end(call.request.id, outcome)
        if call.verb == b"DELETE":
            self.sessions.tell_end(session)

    def _admits(self, rules: AccessRules | None, call: Call, reply: Reply, outcome: Outcome) -> bool:
        """Whether the call may begin; otherwise it is answered."""
        if rules is not None and not self.access.admits(rules, call, reply, outcome):
            return False
        audit = self.access_log.audit
        if audit is None or not audit.may_refuse or call.request.method != "tools/call" or not audit.refuses:
            return True
        answer_fault(call, reply, AuditFull(), outcome)
        return False

    def _admits_at_once(self, rules: AccessRules | None, call: Call, outcome: Outcome) -> bool:
        """Whether the call may begin, and neither its request nor its answer has to be changed for its client."""
        audit = self.access_log.audit
        if self.on_behalf is not None or (audit is not None and audit.may_refuse and audit.refuses):
            return False
        return rules is None or self.access.admits_at_once(rules, call, outcome)

    async def _prepares(self, on_behalf: OnBehalf, call: Call, plan: Plan, reply: Reply, outcome: Outcome) -> bool:
        """Set the lines on behalf of the call's client; without them, the call is answered."""
        if self.local_replies.is_local(call):
            return True
        try:
            async with within(plan.deadline - monotonic()):
                await on_behalf.prepare(call)
        except NoCredentials as missing:
            answer_fault(call, reply, missing, outcome)
        except TimeoutError:
            late = NoCredentials("the token in exchange for the client's did not come within the time of the call")
            answer_fault(call, reply, late, outcome)
        else:
            return True
        return False

    async def _session_steps(self, call: Call, plan: Plan, session: Session, reply: Reply, outcome: Outcome) -> bool:
        """The steps for calls of a session; returns whether one of them has answered the call."""
        if session.unseen and not await self.failover.learn(session):
            self.sessions.end(session)
            answer_fault(call, reply, SessionGone("its client has ended it at another gateway"), outcome)
        elif await self.cancellations.serve(call, plan, session, reply, outcome):
            pass
        elif call.request.is_response and not await self.client_answers.take(session, plan):
            outcome.status = "success"
            reply.whole(202, b"", b"")
        elif call.verb == b"GET":
            await self.get_streams.serve(call, session, reply, outcome)
        else:
            return False
        return True

    async def _steps_on_behalf(
        self, on_behalf: OnBehalf, call: Call, plan: Plan, reply: Reply, outcome: Outcome
    ) -> None:
        """The steps of a pool whose servers are told who the client is. Raises AttemptFailed."""
        if not await self._prepares(on_behalf, call, plan, reply, outcome):
            return
        session = call.session
        if session is not None and await self._session_steps(call, plan, session, reply, outcome):
            return
        await self._steps(call, plan, reply, outcome)
        if isinstance(outcome.failure, UpstreamAuth):
            on_behalf.refused(call.principal)

    def _steps(self, call: Call, plan: Plan, reply: Reply, outcome: Outcome) -> Awaitable[None]:
        """The steps after the plan, up to the answer. Awaiting them raises AttemptFailed."""
        if self.workload.left and plan.tool is not None and plan.kept is None and call.request.id is not None:
            self.workload.begin(call, plan, outcome)
        if plan.refusal is not None:
            return self._refused(call, plan.refusal, reply, outcome)
        if self.local_replies.is_local(call):
            return self._local(call, plan, reply, outcome)
        if call.request.id is None:
            return self._notification(call, plan, reply, outcome)
        if call.request.method == "subscriptions/listen" and call.era is Era.MODERN and not self.settings.passthrough:
            return self.hub.serve(call, reply, outcome)
        if plan.kept is not None and self.caching is not None:
            fetch = partial(self._admitted, call, plan, reply, outcome)
            return self.caching.serve(call, plan, reply, outcome, fetch)
        if self.attempts.admission is None:
            return self.attempts.run(call, plan, reply, outcome)
        return self._admitted(call, plan, reply, outcome)

    async def _refused(self, call: Call, why: str, reply: Reply, outcome: Outcome) -> None:
        status = 400 if call.era is Era.MODERN else 200
        answer_refusal(call, reply, outcome, status, INVALID_PARAMS, why, None)

    async def _local(self, call: Call, plan: Plan, reply: Reply, outcome: Outcome) -> None:
        """The answer of the gateway itself, or the attempts if it has none."""
        if not await self.local_replies.answer(call, plan, reply, outcome):
            await self.attempts.run(call, plan, reply, outcome)

    async def _notification(self, call: Call, plan: Plan, reply: Reply, outcome: Outcome) -> None:
        """The attempts of a message without an answer, once its rate admits it."""
        try:
            await self.notifications.pace(self.attempts.admission, call, plan)
        except AttemptFailed as refused:
            answer_fault(call, reply, refused, outcome)
            return
        await self.attempts.run(call, plan, reply, outcome)

    async def _admitted(self, call: Call, plan: Plan, reply: Reply, outcome: Outcome) -> None:
        """The attempts, once the pool's limits admit the call."""
        admission = self.attempts.admission
        if admission is None:
            await self.attempts.run(call, plan, reply, outcome)
            return
        try:
            gates = await admission.enter(call, plan)
        except AttemptFailed as refused:
            answer_fault(call, reply, refused, outcome)
            return
        try:
            await self.attempts.run(call, plan, reply, outcome)
        finally:
            leave(gates)


def _is_usual(call: Call, session: Session) -> bool:
    """Whether none of the steps for calls of a session concerns the call."""
    return call.request.id is not None and call.verb == b"POST" and not session.unseen
