"""design §4.1 as a table: the calls that may be repeated, where, when and how often."""

from __future__ import annotations

from functools import partial
from time import monotonic

import pytest

from mcppool.pipeline.call import Call
from mcppool.pipeline.retries import Retries
from mcppool.upstream.failures import (
    AcquireTimeout,
    AttemptFailed,
    BadAnswer,
    ConnectFailed,
    ConnectionLost,
    Hung,
    QueueFull,
    ServerFault,
    ServerRefused,
    TimedOut,
)
from mcppool.upstream.http.sockets import EndpointSockets
from tests.unit.pipeline.pools import Heard, call_of, pool_of
from tests.unit.pipeline.retrying import IDEMPOTENT, SAFE, UNSAFE, Longest, first, plan_of

NEVER_SENT = [ConnectFailed("x"), QueueFull("x"), AcquireTimeout("x"), ServerRefused(429)]


MAYBE_EXECUTED = [ConnectionLost("x"), TimedOut("x"), Hung("x"), BadAnswer("x"), ServerFault(500), ServerFault(503)]


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
