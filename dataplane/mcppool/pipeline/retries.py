"""After a failed attempt: is there another, how long to wait before it, and which endpoints it leaves out
(design §4.3)."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from mcppool.pipeline.plan import Plan
from mcppool.pipeline.pool.feedback import EJECTING, answered_elsewhere
from mcppool.pipeline.sessions.failover import knows, learn, move
from mcppool.pipeline.sessions.session import Session
from mcppool.policy.backoff import full_jitter
from mcppool.policy.error_class import ErrorClass
from mcppool.policy.retry_class import RetryClass, class_of_method
from mcppool.policy.retry_wait import retry_wait
from mcppool.upstream.failures import AttemptFailed, RequestRejected, ServerRefused, SessionGone, SessionRejected

if TYPE_CHECKING:
    from mcppool.pipeline.pool.pool import ServerPool
    from mcppool.upstream.endpoint import Endpoint

MAX_REJECTIONS = (
    3  # of one call by the homes that its session is given: more is no restart but a server without sessions
)
OTHER = "other"

ANSWERS = 0.9  # the success rate from which an endpoint counts as one that answers what it is sent

_Trial = tuple[int, ErrorClass, float]
"""Of an attempt whose outcome is to be learned: its number, the class of the failure before it, the wait before it."""


class Retries:
    """The failed attempts of one call; made at the first of them, so that a call that goes well pays nothing.

    `tried` are the endpoints that the next attempt leaves out; `only` is the one that it must go to, where a call may
    go to no other; `sent` counts attempts that may have been executed, `refused` those that a server refused.
    """

    __slots__ = (
        "_asked", "_failures", "_faulty", "_method", "_pool", "_rejections", "_stayed", "_trial", "_waits", "only",
        "refused", "sent", "tried",
    )  # fmt: skip

    def __init__(self, pool: ServerPool, method: str | None) -> None:
        self._pool = pool
        self._method = method
        self._failures = 0
        self._trial: _Trial | None = None
        self._waits = 0
        self._rejections = 0
        self._stayed = False
        self.tried: tuple[Endpoint, ...] = ()
        self.only: Endpoint | None = None
        self.sent = 0
        self.refused = 0
        self._asked: dict[Endpoint, float] = {}  # who has asked this call to wait, and until when
        self._faulty: list[Endpoint] = []  # whose fault a failure may have been

    def next_wait(
        self, plan: Plan, endpoint: Endpoint, failure: AttemptFailed, session: Session | None
    ) -> float | None:
        """Seconds until the next attempt, or None where there is none.

        What was never sent, or refused, may always be repeated; what was sent only if it is safe or idempotent, within
        `max_attempts` and the retry budget. A session's call is repeated at its home first, and moves with the session
        if it fails there again; all calls stay at their endpoint where failover is off. Where the strategy is
        adaptive, an attempt must also be worth it by what was learned, unless it is free.
        """
        now = monotonic()
        self._failures += 1
        if failure.retry_after is not None:
            longest = self._pool.outlier_limits.max_ejection_time
            self._asked[endpoint] = now + min(failure.retry_after, longest)
        if isinstance(failure, EJECTING):
            self._faulty.append(endpoint)
        self._learn(plan, now, success=False)
        wait = self._wait(plan, endpoint, failure, session, now)
        if wait is not None and plan.retry.strategy == "adaptive" and (failure.sent or wait):
            self._trial = (self._failures + 1, failure.error_class, wait)
        return wait

    def succeeded(self, plan: Plan, endpoint: Endpoint, *, about_the_request: bool = False) -> None:
        """The last attempt was answered by `endpoint`: so what others made of the call is their fault, unless the
        answer is `about_the_request`; and what it cost to repeat it was worth it."""
        self._learn(plan, monotonic(), success=True)
        for other in self._faulty:
            if other is not endpoint and not about_the_request:
                answered_elsewhere(self._pool, other)
        if self.refused:
            self._pool.refusals.give_back(plan.client, self.refused)

    def _wait(
        self, plan: Plan, endpoint: Endpoint, failure: AttemptFailed, session: Session | None, now: float
    ) -> float | None:
        pool, retry = self._pool, plan.retry
        if session is None and not pool.spec.load_balancer.failover_enabled:
            self.only = endpoint
        if failure.sent:
            self.sent += 1
            if plan.retry_class is RetryClass.UNSAFE or self.sent >= retry.max_attempts:
                return None
        if now >= plan.deadline or not self._may_repeat_refusal(plan, failure, now):
            return None
        worth_it, longest = self._judge(plan, failure, now)
        may_stay = failure.sent and endpoint.lost is None and self._asked.get(endpoint, now) <= now
        if session is not None and may_stay and worth_it and not self._stayed:
            self._stayed = True
            if pool.budget.pay(now):
                return 0.0
        if self._may_leave(session, failure):
            self.tried = (*self.tried, endpoint)
            if others := self._others(plan, failure, now):
                return 0.0 if not failure.sent or self._affords(plan, now, others, worth_it=worth_it) else None
        if failure.error_class is not ErrorClass.THROTTLED and not failure.sent and not self.sent:
            return None  # nobody could ever be reached, and waiting does not change that: a fast error
        if self._waits + 1 >= retry.max_attempts or not worth_it:
            return None
        self._waits += 1
        wait = full_jitter(longest, pool.rng)
        if failure.error_class is ErrorClass.THROTTLED:
            wait = max(wait, self._first_free(plan, endpoint, session, now) - now)
        if now + wait >= plan.deadline or (failure.sent and not pool.budget.pay(now)):
            return None
        self.tried = tuple(e for e in self.tried if self._asked.get(e, now) > now + wait)
        return wait

    def _may_repeat_refusal(self, plan: Plan, failure: AttemptFailed, now: float) -> bool:
        """Whether the client may have one more repetition of what a server refused; of anything else, always."""
        if not isinstance(failure, ServerRefused):
            return True
        if not self._pool.refusals.take(plan.client, now):
            return False
        self.refused += 1
        return True

    def _others(self, plan: Plan, failure: AttemptFailed, now: float) -> tuple[Endpoint, ...]:
        """Where else the call can go at once: to one that rests from such calls only if it was not refused itself."""
        choice = self._pool.choice
        free = choice.others(self.tried, plan.kind, now)
        return free if free or failure.error_class is ErrorClass.THROTTLED else choice.others(self.tried)

    def _first_free(self, plan: Plan, endpoint: Endpoint, session: Session | None, now: float) -> float:
        """When the first of those that the call can go to takes it, by what they have asked for."""
        rests = self._pool.rests
        where = (
            (endpoint,) if session is not None or self.only is not None else (*self.tried, *self._pool.choice.everyone)
        )
        return min(max(self._asked.get(e, now), rests.until(plan.kind, e, now)) for e in where or (endpoint,))

    def _affords(self, plan: Plan, now: float, others: tuple[Endpoint, ...], *, worth_it: bool) -> bool:
        """Whether the call may be repeated at one of `others`: the budget pays for what is `worth_it`, or one of them
        answers what it is sent.

        Repetitions of what one bad endpoint met bring such a one no more than all of the calls, which it would have
        without the bad one; so there nothing has to be held back. In an outage of all, none answers.
        """
        budget = self._pool.budget
        if worth_it and budget.pay(now):
            return True
        return budget.allowed > 0 and any(_answers(endpoint, plan.tool, now) for endpoint in others)

    async def after_rejection(
        self, plan: Plan, session: Session, endpoint: Endpoint, home: tuple[str, str], rejected: SessionRejected
    ) -> float | None:
        """The endpoint does not know the session: 0 where it has a new home now, None where that is the honest answer.

        It is, where the process has not restarted: then the session was ended there, or has expired (design §1.7).
        `home` is where it lived when the call was sent: another call, or another gateway, may have moved it since.
        Raises AttemptFailed where nobody takes it now, and where the server knows it after all.
        """
        pool = self._pool
        self._rejections += 1
        if rejected.over or self._rejections >= MAX_REJECTIONS or pool.spec.sessions.on_loss == "fail":
            return None
        if session.home != home:
            return 0.0
        if not await learn(pool, session):
            return None
        if session.home != home:
            return 0.0
        if not rejected.lost and await pool.survived(endpoint, session.homed_at):
            if await knows(pool, session, endpoint):
                raise RequestRejected(rejected)
            return None
        if session.home != home:
            return 0.0
        try:
            await move(pool, session, self.tried, plan.deadline)
        except SessionGone:
            return None
        return 0.0

    def _judge(self, plan: Plan, failure: AttemptFailed, now: float) -> tuple[bool, float]:
        """Whether another attempt is worth it, and how long to wait at most before one that has to wait."""
        retry, waits = plan.retry, self._waits + 1
        if retry.strategy != "adaptive":
            return True, retry_wait(retry.strategy, waits, retry.base_delay, retry.max_delay)
        return self._pool.adaptive.decide(
            self._name(plan), self._failures + 1, failure.error_class, now,
            waits=waits, base=retry.base_delay, cap=retry.max_delay, rng=self._pool.rng,
        )  # fmt: skip

    def _learn(self, plan: Plan, now: float, *, success: bool) -> None:
        if self._trial is not None:
            attempt, error_class, waited = self._trial
            self._trial = None
            self._pool.adaptive.learn(
                self._name(plan), attempt, error_class, waited, success, now, base=plan.retry.base_delay
            )

    def _name(self, plan: Plan) -> str:
        """Under which name this call's retries are remembered: those that clients make up share one."""
        if plan.tool is not None:
            return plan.tool if plan.tool in self._pool.catalog.tools else OTHER
        known = class_of_method(self._method) is not RetryClass.UNSAFE
        return self._method if self._method is not None and known else OTHER

    def _may_leave(self, session: Session | None, failure: AttemptFailed) -> bool:
        if not self._pool.spec.load_balancer.failover_enabled:
            return False
        if session is None:
            return True
        busy = failure.error_class is ErrorClass.THROTTLED and not failure.sent  # its home lives: no reason to move
        return self._pool.spec.sessions.on_loss == "reinitialize" and not busy


def _answers(endpoint: Endpoint, tool: str | None, now: float) -> bool:
    """Whether the endpoint answers what it is sent, and the tool has not failed there of late."""
    if endpoint.outlier.failures or (tool is not None and tool in endpoint.breakers):
        return False
    rate = endpoint.success.rate(now)
    return rate is None or rate >= ANSWERS
