"""The failed attempts of one call: the facts for `policy.retry_decision`, and the effects of its decisions."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from math import inf
from time import monotonic

from mcppool.pipeline.feedback import EJECTING, Feedback
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.routing.outage import Outage
from mcppool.pipeline.routing.picker import Picker
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.settings import Settings
from mcppool.policy.adaptive_retry import AdaptiveRetry
from mcppool.policy.backoff import full_jitter
from mcppool.policy.error_class import ErrorClass
from mcppool.policy.refusal_budget import RefusalBudget
from mcppool.policy.retry_after import RetryAfterTable
from mcppool.policy.retry_budget import RetryBudget
from mcppool.policy.retry_class import RetryClass, class_of_method
from mcppool.policy.retry_decision import Retry, RetryFacts, RetryState, Stop, decide
from mcppool.policy.retry_wait import retry_wait
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, ServerRefused

OTHER = "other"
ANSWERS = 0.9  # lowest success rate of an endpoint that counts as answering its calls

_Trial = tuple[int, ErrorClass, float]
"""An attempt whose outcome will be learned: its number, the class of the failure before it, the wait before it."""


@dataclass(slots=True)
class RetryResources:
    """The resources that the retries of all calls of a pool share. `adaptive` is replaced when its learned rates are
    about other settings."""

    settings: Settings
    picker: Picker
    outage: Outage
    feedback: Feedback
    budget: RetryBudget
    refusals: RefusalBudget
    rests: RetryAfterTable[Endpoint]
    rng: random.Random
    adaptive: AdaptiveRetry = field(default_factory=AdaptiveRetry)


class Retries:
    """The failed attempts of one call; made at the first failure, so that a call without failures pays nothing.

    `tried` are the endpoints that the next attempt leaves out; `only` is the one that it must go to, if the call is
    bound; `sent` counts attempts that may have been executed, `refused` repetitions of refused attempts.
    """

    __slots__ = (
        "_asked", "_failures", "_faulty", "_method", "_resources", "_stayed", "_trial", "_waits", "only", "refused",
        "rejections", "sent", "tried",
    )  # fmt: skip

    def __init__(self, resources: RetryResources, method: str | None) -> None:
        self._resources = resources
        self._method = method
        self._failures = 0
        self._trial: _Trial | None = None
        self._waits = 0
        self._stayed = False
        self.rejections = 0  # new homes that the call's session got
        self.tried: tuple[Endpoint, ...] = ()
        self.only: Endpoint | None = None
        self.sent = 0
        self.refused = 0
        self._asked: dict[Endpoint, float] = {}  # endpoints that asked this call to wait, and until when
        self._faulty: list[Endpoint] = []  # endpoints that may have caused a failure

    def next_wait(
        self, plan: Plan, endpoint: Endpoint, failure: AttemptFailed, session: Session | None
    ) -> float | None:
        """Seconds until the next attempt, or None if there is none.

        A session's call is repeated at its endpoint first, and moves with the session if it fails there again; with
        failover off, all calls stay at their endpoint. With the adaptive strategy, an attempt must also be worth it by
        the learned rates, unless it is free.
        """
        now = monotonic()
        resources = self._resources
        self._failures += 1
        if failure.retry_after is not None:
            longest = resources.settings.outlier_limits.max_ejection_time
            self._asked[endpoint] = now + min(failure.retry_after, longest)
        if isinstance(failure, EJECTING):
            self._faulty.append(endpoint)
        self._learn(plan, now, success=False)
        if failure.sent:
            self.sent += 1
        if session is None and not resources.settings.spec.load_balancer.failover_enabled:
            self.only = endpoint
        facts = self._facts(plan, endpoint, failure, session, now)
        decision = decide(RetryState(self.sent, self._waits, self._stayed), facts, now)
        if isinstance(decision, Stop):
            return None
        self._take_effect(plan, endpoint, failure, decision, facts, now)
        if plan.retry.strategy == "adaptive" and (failure.sent or decision.after):
            self._trial = (self._failures + 1, failure.error_class, decision.after)
        return decision.after

    def succeeded(self, plan: Plan, endpoint: Endpoint, *, about_the_request: bool = False) -> None:
        """`endpoint` answered the last attempt. So the failures at the others are their own, unless the answer is
        `about_the_request`; and the repetition was worth its cost."""
        self._learn(plan, monotonic(), success=True)
        for other in self._faulty:
            if other is not endpoint and not about_the_request:
                self._resources.feedback.answered_elsewhere(other)
        if self.refused:
            self._resources.refusals.give_back(plan.client, self.refused)

    # --- facts and effects ---------------------------------------------------------------------------------------

    def _facts(
        self, plan: Plan, endpoint: Endpoint, failure: AttemptFailed, session: Session | None, now: float
    ) -> RetryFacts:
        resources, retry = self._resources, plan.retry
        worth_it, longest = self._judge(plan, failure, now)
        may_leave = self._may_leave(session, failure)
        others = self._others(plan, (*self.tried, endpoint), failure, now) if may_leave else ()
        refused = isinstance(failure, ServerRefused)
        return RetryFacts(
            sent=failure.sent,
            unsafe=plan.retry_class is RetryClass.UNSAFE,
            throttled=failure.error_class is ErrorClass.THROTTLED,
            max_attempts=retry.max_attempts,
            deadline=plan.deadline,
            may_stay=session is not None
            and failure.sent
            and not endpoint.lost
            and self._asked.get(endpoint, now) <= now,
            may_leave=may_leave,
            others=bool(others),
            others_answer=any(_answers(e, plan.tool, now) for e in others),
            one_may_come=not others and resources.outage.starting == inf,
            refusals_left=not refused or resources.refusals.has_left(plan.client, now),
            budget_left=resources.budget.has_left(now, plan.principal),
            budget_allows=resources.budget.allowed > 0,
            worth_it=worth_it,
            wait=0.0 if others else self._wait(plan, endpoint, failure, session, longest, now, may_leave=may_leave),
        )

    def _take_effect(
        self,
        plan: Plan,
        endpoint: Endpoint,
        failure: AttemptFailed,
        decision: Retry,
        facts: RetryFacts,
        now: float,
    ) -> None:
        if decision.paid:
            self._resources.budget.pay(now, plan.principal)
        if isinstance(failure, ServerRefused):
            self._resources.refusals.take(plan.client, now)
            self.refused += 1
        if decision.where == "same":
            self._stayed = True
            return
        if facts.may_leave:
            self.tried = (*self.tried, endpoint)
        if decision.where == "any":
            self._waits += 1
            self.tried = tuple(e for e in self.tried if self._asked.get(e, now) > now + decision.after)

    def _wait(
        self,
        plan: Plan,
        endpoint: Endpoint,
        failure: AttemptFailed,
        session: Session | None,
        longest: float,
        now: float,
        *,
        may_leave: bool,
    ) -> float:
        """Seconds to wait after all endpoints have been asked."""
        wait = full_jitter(longest, self._resources.rng)
        if failure.error_class is not ErrorClass.THROTTLED:
            return wait
        bound = session is not None or self.only is not None
        tried = (*self.tried, endpoint) if may_leave else self.tried
        where = (endpoint,) if bound else (*tried, *self._resources.picker.everyone)
        rests = self._resources.rests
        free = min(max(self._asked.get(e, now), rests.until(plan.kind, e, now)) for e in where or (endpoint,))
        return max(wait, free - now)

    def _others(
        self, plan: Plan, tried: tuple[Endpoint, ...], failure: AttemptFailed, now: float
    ) -> tuple[Endpoint, ...]:
        """The endpoints to which the call can go at once. One that rests from such calls counts only if this call was
        not refused itself."""
        picker = self._resources.picker
        free = picker.others(tried, plan.kind, now)
        return free if free or failure.error_class is ErrorClass.THROTTLED else picker.others(tried)

    def _may_leave(self, session: Session | None, failure: AttemptFailed) -> bool:
        spec = self._resources.settings.spec
        if not spec.load_balancer.failover_enabled:
            return False
        if session is None:
            return True
        busy = failure.error_class is ErrorClass.THROTTLED and not failure.sent  # its home lives: no reason to move
        return spec.sessions.on_loss == "reinitialize" and not busy

    # --- learned facts -----------------------------------------------------------------------------------------

    def _judge(self, plan: Plan, failure: AttemptFailed, now: float) -> tuple[bool, float]:
        """Whether another attempt is worth it, and the longest wait before one that has to wait."""
        retry, waits = plan.retry, self._waits + 1
        if retry.strategy != "adaptive":
            return True, retry_wait(retry.strategy, waits, retry.base_delay, retry.max_delay)
        return self._resources.adaptive.decide(
            self._name(plan), self._failures + 1, failure.error_class, now,
            waits=waits, base=retry.base_delay, cap=retry.max_delay, rng=self._resources.rng,
        )  # fmt: skip

    def _learn(self, plan: Plan, now: float, *, success: bool) -> None:
        if self._trial is not None:
            attempt, error_class, waited = self._trial
            self._trial = None
            self._resources.adaptive.learn(
                self._name(plan), attempt, error_class, waited, success, now, base=plan.retry.base_delay
            )

    def _name(self, plan: Plan) -> str:
        """The name under which this call's retries are learned: names outside the catalog share one."""
        if plan.tool is not None:
            return plan.tool if plan.tool in self._resources.settings.catalog.tools else OTHER
        known = class_of_method(self._method) is not RetryClass.UNSAFE
        return self._method if self._method is not None and known else OTHER


def _answers(endpoint: Endpoint, tool: str | None, now: float) -> bool:
    """Whether the endpoint answers its calls, and the tool has not failed there recently."""
    if endpoint.health.outlier.failures or (tool is not None and tool in endpoint.breakers):
        return False
    rate = endpoint.success.rate(now)
    return rate is None or rate >= ANSWERS
