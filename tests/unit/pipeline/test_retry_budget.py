"""The budget of repetitions, of a pool and of each client."""

from __future__ import annotations

from time import monotonic

import pytest

from mcppool.pipeline.plan import Plan
from mcppool.pipeline.retries import Retries
from mcppool.upstream.failures import (
    BadAnswer,
    ConnectFailed,
    ConnectionLost,
    ServerFault,
    ServerRefused,
)
from tests.unit.pipeline.pools import pool_of, tool_call
from tests.unit.pipeline.retrying import IDEMPOTENT, SAFE, UNSAFE, first, plan_of, session_at


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
