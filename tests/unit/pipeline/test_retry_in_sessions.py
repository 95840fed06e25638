"""Repetitions of calls in sessions, which stay, move or end."""

from __future__ import annotations

import asyncio
from time import monotonic

from mcppool.pipeline.attempts import MAX_REJECTIONS
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.retries import Retries
from mcppool.pipeline.sessions.session import Session
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import (
    ConnectionLost,
    DeadlineExceeded,
    ServerFault,
    SessionRejected,
)
from mcppool.wire.era import Era
from tests.unit.pipeline.pools import Heard, call_of, pool_of
from tests.unit.pipeline.retrying import IDEMPOTENT, UNSAFE, Longest, first, plan_of, session_at


async def test_a_sessions_call_is_repeated_at_home_first_and_then_moves() -> None:
    pool = pool_of("", "a", "b")
    session, plan, retries = session_at(first(pool)), plan_of(IDEMPOTENT, pool), Retries(pool.retry, "tools/call")
    assert retries.next_wait(plan, first(pool), ConnectionLost("x"), session) == 0.0
    assert retries.tried == ()
    assert retries.next_wait(plan, first(pool), ConnectionLost("x"), session) == 0.0
    assert first(pool) in retries.tried


async def test_a_session_whose_home_asks_for_a_rest_moves_at_once() -> None:
    pool = pool_of("", "a", "b")
    session, plan, retries = session_at(first(pool)), plan_of(IDEMPOTENT, pool), Retries(pool.retry, "tools/call")
    assert retries.next_wait(plan, first(pool), ServerFault(503, 7.0), session) == 0.0
    assert first(pool) in retries.tried


async def test_a_session_that_must_not_move_does_not() -> None:
    pool = pool_of(
        '[sessions]\non_loss = "fail"\n[retry_policy]\nbase_delay = "1s"\nmax_delay = "30s"', "a", "b", rng=Longest()
    )
    session, plan, retries = session_at(first(pool)), plan_of(IDEMPOTENT, pool), Retries(pool.retry, "tools/call")
    waits = [retries.next_wait(plan, first(pool), ConnectionLost("x"), session) for _ in range(2)]
    assert waits == [0.0, 1.0]
    assert retries.tried == ()


class Survivor:
    """Stands for the probers' answer whether a process lives on, which would need a real server."""

    def __init__(self, pool: ServerPool, survived: bool) -> None:
        self.asked = 0
        self._survived = survived
        pool.probers.survived = self._answer  # type: ignore[method-assign]  # which is what a stand-in does

    async def _answer(self, endpoint: Endpoint, since: float) -> bool:
        self.asked += 1
        return self._survived


async def after_rejection(
    pool: ServerPool, retries: Retries, session: Session, home: tuple[str, str], rejected: SessionRejected
) -> float | None:
    """Seconds until the next attempt of a call whose session the endpoint does not know."""
    wait, _ = await pool.attempts.decide(plan_of(UNSAFE, pool), retries, session, home, first(pool), rejected)
    return wait


async def test_a_rejection_by_a_live_process_ends_the_session() -> None:
    pool = pool_of("", "a", "b")
    session = session_at(first(pool))
    Survivor(pool, True)
    retries = Retries(pool.retry, "tools/call")
    assert await after_rejection(pool, retries, session, session.home, SessionRejected("x")) is None


async def test_a_rejection_from_where_the_session_no_longer_lives_is_not_its_end() -> None:
    pool = pool_of("", "a", "b")
    session = session_at(first(pool))
    home = session.home
    session.settle("http://b/mcp", "new", 1.0)  # as another call of it has just seen to
    witness = Survivor(pool, True)
    retries = Retries(pool.retry, "tools/call")
    assert await after_rejection(pool, retries, session, home, SessionRejected("x")) == 0.0
    assert witness.asked == 0
    for _ in range(MAX_REJECTIONS):
        last = await after_rejection(pool, retries, session, home, SessionRejected("x"))
    assert last is None, "and not for ever"


async def test_a_session_that_must_not_move_ends_with_its_first_rejection() -> None:
    pool = pool_of('[sessions]\non_loss = "fail"', "a", "b")
    session = session_at(first(pool))
    retries = Retries(pool.retry, "tools/call")
    assert await after_rejection(pool, retries, session, session.home, SessionRejected("x", lost=True)) is None


async def test_a_session_that_finds_no_new_home_in_time_fails_when_its_call_does() -> None:
    pool = pool_of("", "a", "b")
    session, plan = session_at(first(pool)), plan_of(UNSAFE, pool)
    plan.deadline = monotonic() + 0.05
    session.moving = asyncio.create_task(asyncio.sleep(3600))  # type: ignore[assignment]  # another call has begun it
    async with asyncio.timeout(60):
        rejected = SessionRejected("x", lost=True)
        retries = Retries(pool.retry, "tools/call")
        wait, told = await pool.attempts.decide(plan, retries, session, session.home, first(pool), rejected)
    assert wait is None
    assert isinstance(told, DeadlineExceeded)
    session.moving.cancel()


async def test_a_check_before_a_session_takes_no_longer_than_the_call_may() -> None:
    pool = pool_of("", "a")

    async def never(_endpoint: Endpoint) -> None:
        await asyncio.sleep(3600)

    pool.probers.witness = never  # type: ignore[method-assign]
    opening = call_of("initialize", era=Era.LEGACY)
    opening.timeout = 0.05
    heard = Heard()
    async with asyncio.timeout(60):
        outcome = await pool.serve(opening, heard)
    assert (outcome.delivered, outcome.attempts) == ("no", 0)
    assert b'"timeout"' in heard.body
