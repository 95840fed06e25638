"""After a failed attempt: is there another, how long to wait before it, and which endpoints it leaves out (DESIGN §6)."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from mcppool.pipeline.plan import Plan
from mcppool.policy.backoff import full_jitter
from mcppool.policy.error_class import ErrorClass
from mcppool.policy.retry_class import RetryClass
from mcppool.policy.retry_wait import retry_wait
from mcppool.upstream.failures import AttemptFailed

if TYPE_CHECKING:
    from mcppool.pipeline.pool import Pool
    from mcppool.upstream.endpoint import Endpoint


class Retries:
    """The failed attempts of one call; made at the first of them, so that a call that goes well pays nothing.

    `tried` are the endpoints that the next attempt leaves out. `moved` tells that the call has left a hung endpoint, which
    it may do once.
    """

    __slots__ = ("_pool", "_waits", "moved", "sent", "tried")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._waits = 0
        self.tried: tuple[Endpoint, ...] = ()
        self.sent = 0
        self.moved = False

    def next_wait(self, plan: Plan, endpoint: Endpoint, failure: AttemptFailed, *, pinned: bool) -> float | None:
        """Seconds until the next attempt, or None where there is none.

        What was never sent, or refused, may always be repeated; what was sent only if it is safe or idempotent, within
        `max_attempts` and the retry budget. `pinned` calls, and all where failover is off, stay at their endpoint.
        """
        pool, retry = self._pool, plan.retry
        now = monotonic()
        if failure.sent:
            self.sent += 1
            if plan.retry_class is RetryClass.UNSAFE or self.sent >= retry.max_attempts:
                return None
        stays = pinned or not pool.spec.load_balancer.failover_enabled
        if not stays:
            self.tried = (*self.tried, endpoint)
            if pool.has_other(now, self.tried):
                return 0.0 if not failure.sent or pool.budget.pay(now) else None
        if failure.error_class is not ErrorClass.THROTTLED and not failure.sent:
            return None  # nobody is left who could be reached, and waiting does not change that: a fast error
        if self._waits + 1 >= retry.max_attempts:
            return None
        self._waits += 1
        wait = full_jitter(retry_wait(retry.strategy, self._waits, retry.base_delay, retry.max_delay), pool.rng)
        if failure.error_class is ErrorClass.THROTTLED:
            wait = max(wait, pool.rest_until(self.tried or (endpoint,)) - now)
        if now + wait >= plan.deadline or (failure.sent and not pool.budget.pay(now)):
            return None
        self.tried = ()
        return wait
