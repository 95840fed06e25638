"""design §4.1 as a table: the calls that may be repeated, where, when and how often."""

from __future__ import annotations

import asyncio
import random
from functools import partial
from time import monotonic

import pytest

from mcppool.pipeline.attempts import MAX_REJECTIONS
from mcppool.pipeline.call import Call
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.retries import Retries
from mcppool.pipeline.sessions.session import Session
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import (
    AcquireTimeout,
    AttemptFailed,
    BadAnswer,
    ConnectFailed,
    ConnectionLost,
    DeadlineExceeded,
    Hung,
    QueueFull,
    ServerFault,
    ServerRefused,
    SessionRejected,
    TimedOut,
)
from mcppool.upstream.http.sockets import EndpointSockets
from mcppool.wire.era import Era
from mcppool.wire.sealing import SessionClaims, compressed
from tests.unit.pipeline.pools import Heard, call_of, planned, pool_of, tool_call

SAFE, IDEMPOTENT, UNSAFE = call_of("tools/list"), tool_call("read"), tool_call("write")
NEVER_SENT = [ConnectFailed("x"), QueueFull("x"), AcquireTimeout("x"), ServerRefused(429)]
MAYBE_EXECUTED = [ConnectionLost("x"), TimedOut("x"), Hung("x"), BadAnswer("x"), ServerFault(500), ServerFault(503)]


class Longest(random.Random):
    """Full jitter always gives the whole wait."""

    def random(self) -> float:
        return 1.0

    def uniform(self, a: float, b: float) -> float:
        return b


def first(pool: ServerPool) -> Endpoint:
    return next(iter(pool.endpoints.values()))


def plan_of(call: Call, pool: ServerPool) -> Plan:
    plan = planned(call, pool)
    plan.deadline = monotonic() + 60
    return plan


def session_at(endpoint: Endpoint) -> Session:
    return Session(
        SessionClaims(
            endpoint=endpoint.key, upstream_session="s", version="2025-11-25",
            capabilities=compressed(b"{}"), client=b"{}", issued=0, expires=1,
        )
    )  # fmt: skip


@pytest.mark.parametrize("failure", NEVER_SENT, ids=repr)
@pytest.mark.parametrize("call", [SAFE, IDEMPOTENT, UNSAFE], ids=["safe", "idempotent", "unsafe"])
async def test_an_unsent_call_of_any_class_goes_elsewhere_at_once(call: Call, failure: AttemptFailed) -> None:
    pool = pool_of("[retry_policy]\nbudget_percent = 0\nbudget_min_per_second = 0", "a", "b")
    retries = Retries(pool.retry, call.request.method)
    assert retries.next_wait(plan_of(call, pool), first(pool), failure, None) == 0.0
    assert first(pool) in retries.tried
    assert retries.sent == 0


@pytest.mark.parametrize("failure", MAYBE_EXECUTED, ids=repr)
@pytest.mark.parametrize(("call", "repeated"), [(SAFE, True), (IDEMPOTENT, True), (UNSAFE, False)])
async def test_a_call_that_may_have_run_is_repeated_if_that_is_safe(
    call: Call, repeated: bool, failure: AttemptFailed
) -> None:
    pool = pool_of("", "a", "b")
    retries = Retries(pool.retry, call.request.method)
    wait = retries.next_wait(plan_of(call, pool), first(pool), failure, None)
    assert wait == (0.0 if repeated else None)
    assert retries.sent == 1


@pytest.mark.parametrize(
    "message", ["completion/complete", "prompts/get", "resources/read", "prompts/list", "tasks/get", "server/discover"]
)
async def test_methods_that_only_read_are_safe(message: str) -> None:
    pool = pool_of("", "a", "b")
    assert (
        Retries(pool.retry, message).next_wait(plan_of(call_of(message), pool), first(pool), BadAnswer("x"), None)
        == 0.0
    )


@pytest.mark.parametrize("message", ["unknown/method", "notifications/unknown"])
async def test_methods_that_we_do_not_know_to_be_harmless_are_unsafe(message: str) -> None:
    pool = pool_of("", "a", "b")
    assert (
        Retries(pool.retry, message).next_wait(plan_of(call_of(message), pool), first(pool), BadAnswer("x"), None)
        is None
    )


async def test_attempts_that_may_have_been_executed_are_counted() -> None:
    pool = pool_of("[retry_policy]\nmax_attempts = 3", *"abcdef")
    plan, retries = plan_of(SAFE, pool), Retries(pool.retry, "tools/list")
    endpoints = list(pool.endpoints.values())
    waits = [retries.next_wait(plan, endpoint, BadAnswer("x"), None) for endpoint in endpoints[:3]]
    assert waits == [0.0, 0.0, None]


async def test_attempts_that_were_never_sent_are_bounded_by_the_endpoints_alone() -> None:
    pool = pool_of("[retry_policy]\nmax_attempts = 2", *"abcdef")
    plan, retries = plan_of(UNSAFE, pool), Retries(pool.retry, "tools/call")
    waits = [retries.next_wait(plan, endpoint, ConnectFailed("x"), None) for endpoint in pool.endpoints.values()]
    assert waits == [0.0] * 5 + [None]


async def test_the_same_endpoint_is_tried_again_after_a_growing_wait_where_there_is_no_other() -> None:
    pool = pool_of('[retry_policy]\nbase_delay = "1s"\nmax_delay = "30s"\nmax_attempts = 4', "a", rng=Longest())
    plan, retries = plan_of(SAFE, pool), Retries(pool.retry, "tools/list")
    waits = [retries.next_wait(plan, first(pool), ConnectionLost("x"), None) for _ in range(4)]
    assert waits == [1.0, 2.0, 4.0, None]


async def test_a_refusal_waits_as_long_as_the_server_says() -> None:
    pool = pool_of('[retry_policy]\nbase_delay = "1s"\nmax_delay = "30s"', "a", rng=Longest())
    until = monotonic() + 7
    wait = Retries(pool.retry, "tools/call").next_wait(
        plan_of(UNSAFE, pool), first(pool), ServerRefused(429, 7.0), None
    )
    assert wait is not None
    assert until - monotonic() <= wait <= 7


async def test_repetitions_of_calls_refused_everywhere_are_bounded_for_each_client() -> None:
    pool = pool_of("[retry_policy]\nbudget_min_per_second = 2", "a", "b", "c")
    mallory, alice = plan_of(tool_call("write", principal="mallory"), pool), plan_of(tool_call("write"), pool)

    def repeated(plan: Plan) -> bool:
        return Retries(pool.retry, "tools/call").next_wait(plan, first(pool), ServerRefused(429), None) is not None

    assert sum(repeated(mallory) for _ in range(100)) == 10
    assert repeated(alice)


async def test_repetitions_that_help_are_not_bounded() -> None:
    pool = pool_of("[retry_policy]\nbudget_min_per_second = 2", "a", "b")
    plan = plan_of(UNSAFE, pool)
    for _ in range(100):
        retries = Retries(pool.retry, "tools/call")
        assert retries.next_wait(plan, first(pool), ServerRefused(429), None) == 0.0
        retries.succeeded(plan, list(pool.endpoints.values())[1])


async def test_an_endpoint_is_ejected_for_one_clients_calls_that_others_answer() -> None:
    pool = pool_of("[outlier_detection]\nconsecutive_failures = 3", "a", "b")
    bad, good = pool.endpoints.values()
    plan = plan_of(IDEMPOTENT, pool)
    for _ in range(3):
        retries = Retries(pool.retry, "tools/call")
        assert not bad.health.outlier.ejected
        pool.feedback.failed(bad, plan, ServerFault(500), monotonic())
        retries.next_wait(plan, bad, ServerFault(500), None)
        retries.succeeded(plan, good)
    assert bad.health.outlier.ejected


async def test_a_wait_that_ends_after_the_deadline_is_not_begun() -> None:
    pool = pool_of('[retry_policy]\nbase_delay = "10s"\nmax_delay = "30s"', "a", rng=Longest())
    plan = plan_of(SAFE, pool)
    plan.deadline = monotonic() + 5
    assert Retries(pool.retry, "tools/list").next_wait(plan, first(pool), ConnectionLost("x"), None) is None
    plan.deadline = monotonic() - 1
    two = pool_of("", "a", "b")
    assert Retries(two.retry, "tools/list").next_wait(plan, first(two), ConnectFailed("x"), None) is None


async def test_an_empty_budget_ends_repetitions_and_not_those_that_are_free() -> None:
    pool = pool_of("[retry_policy]\nbudget_percent = 0\nbudget_min_per_second = 0", "a", "b")
    plan = plan_of(SAFE, pool)
    assert Retries(pool.retry, "tools/list").next_wait(plan, first(pool), ConnectionLost("x"), None) is None
    assert Retries(pool.retry, "tools/list").next_wait(plan, first(pool), ConnectFailed("x"), None) == 0.0


NO_BUDGET = "[retry_policy]\nbudget_percent = 1\nbudget_min_per_second = 0"


async def test_a_failure_of_one_bad_endpoint_is_repeated_at_a_good_one_whatever_the_budget() -> None:
    pool = pool_of(NO_BUDGET, "a", "b")
    plan = plan_of(IDEMPOTENT, pool)
    pool.budget.start(monotonic())
    for _ in range(100):
        pool.feedback.failed(first(pool), plan, ConnectionLost("x"), monotonic())
        assert Retries(pool.retry, "tools/call").next_wait(plan, first(pool), ConnectionLost("x"), None) == 0.0
    session, retries = session_at(first(pool)), Retries(pool.retry, "tools/call")
    assert retries.next_wait(plan, first(pool), ConnectionLost("x"), session) == 0.0
    assert first(pool) in retries.tried, "to stay would have to be paid for"


@pytest.mark.parametrize("of_late", [[False], [False] * 2 + [True] * 9], ids=["the last", "one in five"])
async def test_an_empty_budget_ends_repetitions_where_the_others_fail_too(of_late: list[bool]) -> None:
    pool = pool_of(NO_BUDGET, "a", "b")
    plan, other = plan_of(SAFE, pool), list(pool.endpoints.values())[1]
    for well in of_late:
        if well:
            pool.feedback.succeeded(other, plan, monotonic())
        else:
            pool.feedback.failed(other, plan, BadAnswer("x"), monotonic())
    pool.budget.start(monotonic())
    pool.budget.pay(monotonic())
    assert Retries(pool.retry, "tools/list").next_wait(plan, first(pool), BadAnswer("x"), None) is None


async def test_an_empty_budget_ends_repetitions_of_a_tool_that_fails_at_the_others_too() -> None:
    pool = pool_of(NO_BUDGET, "a", "b")
    plan, other = plan_of(IDEMPOTENT, pool), list(pool.endpoints.values())[1]
    pool.feedback.failed(other, plan, ServerFault(500), monotonic())
    for _ in range(99):
        pool.feedback.succeeded(other, plan_of(SAFE, pool), monotonic())
    pool.budget.start(monotonic())
    pool.budget.pay(monotonic())
    assert Retries(pool.retry, "tools/call").next_wait(plan, first(pool), ServerFault(500), None) is None
    assert Retries(pool.retry, "tools/list").next_wait(plan_of(SAFE, pool), first(pool), ServerFault(500), None) == 0.0


async def test_a_principal_whose_calls_all_fail_leaves_retries_to_the_others() -> None:
    pool = pool_of(
        "[retry_policy]\nbudget_percent = 0\nbudget_min_per_second = 2\nbudget_percent_per_principal = 25\n", "a", "b"
    )
    other = list(pool.endpoints.values())[1]
    plans = {name: plan_of(tool_call("read", principal=name), pool) for name in ("mallory", "alice")}
    pool.feedback.failed(other, plans["alice"], BadAnswer("x"), monotonic())  # so that no retry is free
    for name in plans:
        pool.budget.start(monotonic(), name)

    def retried(name: str) -> bool:
        retries = Retries(pool.retry, "tools/call")
        return retries.next_wait(plans[name], first(pool), BadAnswer("x"), None) is not None

    assert [retried("mallory") for _ in range(7)] == [True] * 5 + [False] * 2
    assert retried("alice")


async def test_without_failover_a_call_stays_where_it_is() -> None:
    pool = pool_of(
        '[load_balancer]\nfailover_enabled = false\n[retry_policy]\nbase_delay = "1s"\nmax_delay = "30s"',
        "a",
        "b",
        rng=Longest(),
    )
    plan, retries = plan_of(SAFE, pool), Retries(pool.retry, "tools/list")
    assert retries.next_wait(plan, first(pool), ConnectionLost("x"), None) == 1.0
    assert retries.tried == ()


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


async def test_a_call_without_an_endpoint_triggers_checks_of_lost_ones_at_a_bounded_rate() -> None:
    pool = pool_of('[connection_pool]\nreconnect_backoff = "1h"\nmax_reconnect_backoff = "1h"', "a", "b")
    looked: list[str] = []
    for endpoint in pool.endpoints.values():
        endpoint.health.unreachable()
    for endpoint in pool.endpoints.values():  # only now: a loss by itself has the others looked at, too
        endpoint.wake_prober = partial(looked.append, endpoint.key)
    for call in (SAFE, UNSAFE):
        heard = Heard()
        await pool.serve(call, heard)
        assert heard.status == 503
    assert looked == list(pool.endpoints)


async def test_a_session_that_finds_no_new_home_in_time_fails_when_its_call_does() -> None:
    pool = pool_of("", "a", "b")
    session, plan = session_at(first(pool)), plan_of(UNSAFE, pool)
    plan.deadline = monotonic() + 0.05
    session.moving = asyncio.create_task(asyncio.sleep(3600))  # type: ignore[assignment]  # another call has begun it
    async with asyncio.timeout(10):
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
    async with asyncio.timeout(10):
        outcome = await pool.serve(opening, heard)
    assert (outcome.delivered, outcome.attempts) == ("no", 0)
    assert b'"timeout"' in heard.body


async def test_one_step_of_stopping_that_fails_skips_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    pool = pool_of("", "a", "b")
    closed: list[str] = []

    def abort(name: str) -> None:
        closed.append(name)
        raise ValueError("defect")

    async def broken() -> None:
        raise ValueError("defect")

    async def wait_closed(sockets: EndpointSockets, seconds: float) -> bool:
        abort(names[id(sockets)])
        return True

    names = {id(endpoint.target.sockets): name for name, endpoint in zip("ab", pool.endpoints.values(), strict=True)}
    monkeypatch.setattr(EndpointSockets, "wait_closed", wait_closed)
    if pool.caching is not None:
        monkeypatch.setattr(pool.caching, "close", broken)
    monkeypatch.setattr(pool.hub, "close", lambda: abort("listeners"))
    await pool.stop()
    assert closed == ["listeners", "a", "b"]
