"""The candidates of a pool's strategy, and the next step after a failed call."""

from __future__ import annotations

import random
from collections import Counter
from math import inf
from time import monotonic
from typing import Any

import pytest

from mcppool.observe.metrics import PoolMetrics
from mcppool.pipeline.call import Call
from mcppool.pipeline.catalog import PoolCatalog
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.retries import OTHER, Retries
from mcppool.policy.endpoint_health import EndpointState
from mcppool.spec import PoolSpec, loads_toml
from mcppool.upstream.catalog import EndpointCatalog, ToolInfo
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import BadAnswer, ConnectFailed, NoEndpoint, ServerFault, ServerRefused
from mcppool.wire.era import Era
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.sealing import Key, KeyRing
from tests.unit.pipeline.pools import planned

RING = KeyRing([Key("test", bytes(32))])


def spec(text: str, *endpoints: dict[str, Any]) -> PoolSpec:
    lines = ", ".join(
        "{" + ", ".join(f"{key} = {value!r}" for key, value in endpoint.items()) + "}" for endpoint in endpoints
    )
    return loads_toml(f'{text}\n[[pools]]\nname = "p"\nendpoints = [{lines}]').pools[0]


def at(name: str, **more: Any) -> dict[str, Any]:
    return {"url": f"http://{name}/mcp", **more}


def pool_of(text: str, *endpoints: dict[str, Any], zone: str | None = None) -> ServerPool:
    return ServerPool(spec(text, *endpoints), PoolMetrics("p"), RING, random.Random(1), zone)


def names(endpoints: tuple[Endpoint, ...]) -> str:
    return "".join(endpoint.key[7:-4] for endpoint in endpoints)


def call(name: str = "search", tenant: str = "") -> Call:
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"%b","arguments":{}}}' % name.encode()
    lines = [(b"x-tenant", tenant.encode())]
    return Call(parse_request(body), body, b"", Era.MODERN, monotonic(), lines=lines)


async def test_the_lowest_priority_is_used_and_the_next_takes_the_calls_that_it_failed() -> None:
    pool = pool_of("", at("a"), at("b", priority=1), at("c", priority=1))
    plan = planned(call(), pool)
    first = pool.picker.endpoint_for(plan, (), monotonic())
    assert names(pool.picker.candidates) == "a"
    assert names((first,)) == "a"
    assert names((pool.picker.endpoint_for(plan, (first,), monotonic()),)) in "bc"
    with pytest.raises(NoEndpoint):
        pool.picker.endpoint_for(plan, tuple(pool.endpoints.values()), monotonic())


async def test_an_unchecked_endpoint_takes_calls_if_there_is_no_other() -> None:
    pool = pool_of("", at("a"))
    pool.configure(spec("", at("a"), at("b")))
    assert names(pool.picker.candidates) == "a"
    pool.configure(spec("", at("b")))
    assert names(pool.picker.candidates) == "b", "as one server is replaced by another"
    pool.endpoints["http://b/mcp"].health.unreachable()
    assert names(pool.picker.candidates) == ""


async def test_a_leaving_endpoint_takes_calls_as_long_as_there_is_no_other() -> None:
    pool = pool_of("", at("a"), at("b"))
    for endpoint in pool.endpoints.values():
        endpoint.drain()
    assert names(pool.picker.candidates) == "ab"
    pool.endpoints["http://a/mcp"].health.unreachable()
    assert names(pool.picker.candidates) == "b"


async def test_the_own_zone_is_preferred_where_the_pool_says_so() -> None:
    endpoints = (at("a", zone="x"), at("b", zone="y"), at("c", zone="x"))
    assert names(pool_of("", *endpoints, zone="x").picker.candidates) == "abc"
    local = pool_of('[load_balancer]\nzone_preference = "prefer_local"', *endpoints, zone="x")
    assert names(local.picker.candidates) == "ac"
    assert names(local.picker.others(local.picker.candidates)) == "b"


async def test_a_zone_that_is_mostly_out_is_no_longer_preferred() -> None:
    text = '[load_balancer]\nzone_preference = "prefer_local"'
    pool = pool_of(text, at("a", zone="x"), at("b", zone="y"), at("c", zone="x"), at("d", zone="x"), zone="x")
    a, _, c, _ = pool.endpoints.values()
    a.health.unreachable()
    assert names(pool.picker.candidates) == "cd"
    c.health.unreachable()
    assert names(pool.picker.candidates) == "bd"


async def test_a_changed_configuration_changes_the_preference_and_the_strategy() -> None:
    endpoints = (at("a", zone="x"), at("b", zone="y"))
    pool = pool_of("", *endpoints, zone="x")
    pool.configure(spec('[load_balancer]\nzone_preference = "prefer_local"\nstrategy = "random"', *endpoints))
    assert names(pool.picker.candidates) == "a"


async def test_calls_are_hashed_by_the_pools_key() -> None:
    text = '[load_balancer]\nstrategy = "consistent_hash"\nhash_key = "header:X-Tenant"'
    pool = pool_of(text, *(at(f"h{number}") for number in range(5)))
    homes = [
        {
            pool.picker.endpoint_for(planned(call(f"tool{n}", f"tenant{tenant}"), pool), (), monotonic()).key
            for n in range(10)
        }
        for tenant in range(40)
    ]
    assert all(len(home) == 1 for home in homes)
    assert len(set.union(*homes)) == 5


@pytest.mark.parametrize(
    "strategy", ["weighted_round_robin", "random", "health_based", "response_time_based", "least_connections"]
)
async def test_each_strategy_balances_real_endpoints_by_weight(strategy: str) -> None:
    pool = pool_of(f'[load_balancer]\nstrategy = "{strategy}"', at("a", weight=300), at("b"))
    plan = planned(call(), pool)
    got = Counter(names((pool.picker.endpoint_for(plan, (), monotonic()),)) for _ in range(2_000))
    assert got["a"] / 2_000 == pytest.approx(0.75, abs=0.05)


async def test_an_endpoint_that_comes_back_is_judged_afresh() -> None:
    pool = pool_of("", at("a"), at("b"))
    a, _ = pool.endpoints.values()
    now = monotonic()
    a.latency.observe(15.0, now)
    a.success.observe(False, now)
    a.health.unreachable()
    a.health.checked(True, pool.spec)
    assert a.available
    assert (a.latency.estimate, a.success.rate(now)) == (0.0, None)


async def test_each_change_of_an_endpoint_is_reported_with_its_own_reason() -> None:
    pool = pool_of("[outlier_detection]\nconsecutive_failures = 1", at("a"), at("b"))
    a, _ = pool.endpoints.values()
    plan = planned(call(), pool)

    def told() -> list[tuple[str, str]]:
        return [(event.reason, event.detail) for event in pool.recent.newest_first()]

    a.stats.last_fault = "refused"
    a.health.unreachable()
    a.health.checked(True, pool.spec)
    assert told() == [("available", "a check was answered"), ("unreachable", "refused")]
    for of_a_client in (plan, planned(call(), pool)):
        pool.feedback.failed(a, of_a_client, BadAnswer("garbage"), monotonic())
    assert told()[0] == ("ejected", "garbage")
    a.health.tick(monotonic() + 3600)
    assert a.health.state is EndpointState.PROBATION
    pool.feedback.succeeded(a, plan, monotonic())
    assert told()[0] == ("available", "its trial call was answered")


def asked(pool: ServerPool, name: str = "search", times: int = 30) -> set[str]:
    """The endpoints that get calls of this tool."""
    plan, now = planned(call(name), pool), monotonic()
    return {names((pool.picker.endpoint_for(plan, (), now),)) for _ in range(times)}


async def test_a_resting_endpoint_gets_no_calls_of_that_tool_until_its_rest_is_over() -> None:
    pool = pool_of("", at("a"), at("b"), at("c", priority=1))
    a, b, _ = pool.endpoints.values()
    plan = planned(call(), pool)
    pool.feedback.failed(a, plan, ServerRefused(429, 30.0), monotonic())
    assert asked(pool) == {"b"}
    assert asked(pool, "read") == {"a", "b"}
    pool.feedback.failed(b, plan, ServerRefused(429, 60.0), monotonic())
    assert asked(pool) == {"c"}
    pool.feedback.failed(list(pool.endpoints.values())[2], plan, ServerRefused(429, 60.0), monotonic())
    assert asked(pool) == {"c"}, "the last one does not rest"
    pool.housekeeping.sweep(monotonic() + 31)
    assert asked(pool) == {"a"}


async def test_a_refusal_after_a_refusal_elsewhere_causes_no_rest() -> None:
    pool = pool_of("", at("a"), at("b"), at("c"))
    a, b, _ = pool.endpoints.values()
    plan = planned(call(), pool)
    pool.feedback.failed(a, plan, ServerRefused(429, 30.0), monotonic())
    pool.feedback.failed(b, plan, ServerRefused(429, 30.0), monotonic(), refused_before=True)
    assert asked(pool) == {"b", "c"}


async def test_no_rest_is_longer_than_the_longest_ejection_and_a_new_process_has_asked_for_none() -> None:
    pool = pool_of("[outlier_detection]\nmax_ejection_time = '100s'", at("a"), at("b"))
    a, _ = pool.endpoints.values()
    now = monotonic()
    plan = planned(call(), pool)
    pool.feedback.failed(a, plan, ServerRefused(429, 86_400.0), now)
    assert pool.rests.until(plan.kind, a, now) == pytest.approx(now + 100, abs=1)
    a.health.unreachable()
    a.health.checked(True, pool.spec)
    assert asked(pool) == {"a", "b"}


async def test_a_check_makes_the_catalog_of_the_pool_anew_only_if_that_of_the_endpoint_is_another() -> None:
    pool = pool_of("", at("a"), at("b"))
    a, b = pool.endpoints.values()
    renewed: list[None] = []
    pool.membership.on_catalog = lambda: renewed.append(None)

    def renewals(endpoint: Endpoint, catalog: EndpointCatalog | None) -> int:
        """How often two checks with this catalog make that of the pool anew."""
        before = len(renewed)
        endpoint.catalog = catalog
        pool.membership._checked(endpoint)
        pool.membership._checked(endpoint)
        return len(renewed) - before

    assert renewals(a, None) == 0
    assert renewals(a, EndpointCatalog(True)) == renewals(b, EndpointCatalog(True)) == 1
    assert renewals(a, EndpointCatalog(True, b"{}")) == 1


async def test_a_sweep_looks_at_idle_connections_of_an_endpoint_without_calls_when_they_may_be_stale() -> None:
    pool = pool_of("", at("a"))
    (a,) = pool.endpoints.values()
    now = a.connections.stale_from = monotonic()
    pool.housekeeping.sweep(now - 1)
    assert a.connections.stale_from == now
    pool.housekeeping.sweep(now)
    assert a.connections.stale_from == inf, "there are none"


async def test_an_endpoint_removed_on_probation_gets_no_trial() -> None:
    pool = pool_of("", at("a"), at("b"))
    a, _ = pool.endpoints.values()
    a.health.outlier.ejected_until = monotonic() - 1
    a.health.ejected()
    pool.housekeeping.sweep(monotonic())
    assert list(pool.endpoints.probation) == [a]
    pool.configure(spec("", at("b")))
    pool.housekeeping.sweep(monotonic())
    assert asked(pool) == {"b"}


async def test_a_trial_that_came_to_nothing_is_another_calls() -> None:
    pool = pool_of("", at("a"), at("b"))
    a, _ = pool.endpoints.values()
    a.health.outlier.ejected_until = monotonic() - 1
    a.health.ejected()
    pool.housekeeping.sweep(monotonic())
    plan = planned(call(), pool)
    plan.unsafe = False
    assert pool.picker.endpoint_for(plan, (), monotonic()) is a
    assert pool.picker.endpoint_for(plan, (), monotonic()) is not a, "it has its trial"
    pool.housekeeping.sweep(monotonic())  # the call was cancelled before it arrived, without a message
    assert pool.picker.endpoint_for(plan, (), monotonic()) is a


# --- adaptive retries ------------------------------------------------------------------------------------------------

ADAPTIVE = '[retry_policy]\nstrategy = "adaptive"\nbase_delay = "10ms"\n[tools.search]\nidempotent = true'


def adaptive_pool(*names_of: str) -> ServerPool:
    pool = pool_of(ADAPTIVE, *(at(name) for name in names_of))
    pool.settings.learn(PoolCatalog(tools={"search": ToolInfo("search", None, None)}))
    return pool


def next_wait(pool: ServerPool, plan: Plan, *failures: Exception) -> float | None:
    retries = Retries(pool.retry, "tools/call")
    endpoint = next(iter(pool.endpoints.values()))
    wait: float | None = None
    for failure in failures:
        wait = retries.next_wait(plan, endpoint, failure, None)  # type: ignore[arg-type]
    return wait


async def test_a_tool_whose_retries_never_help_is_retried_no_more() -> None:
    pool = adaptive_pool("a", "b")
    plan = planned(call(), pool)
    assert plan.retry.strategy == "adaptive"
    made = [next_wait(pool, plan, BadAnswer("x"), BadAnswer("x")) is not None for _ in range(20)]
    assert made[0]
    for endpoint in pool.endpoints.values():
        pool.feedback.failed(endpoint, plan, BadAnswer("x"), monotonic())
    decisions = [next_wait(pool, plan, BadAnswer("x")) for _ in range(20)]
    assert sum(wait is not None for wait in decisions) <= 4  # one in twenty


async def test_retries_that_help_go_on() -> None:
    pool = adaptive_pool("a", "b")
    plan = planned(call(), pool)
    for _ in range(15):
        retries = Retries(pool.retry, "tools/call")
        assert retries.next_wait(plan, next(iter(pool.endpoints.values())), BadAnswer("x"), None) == 0.0
        retries.succeeded(plan, next(iter(pool.endpoints.values())))
    (line,) = pool.retry.adaptive.snapshot(monotonic())
    assert (line.name, line.attempt, line.bucket) == ("search", 2, None)
    assert line.rate > 0.9


async def test_an_unsent_call_goes_elsewhere_whatever_the_learned_rates() -> None:
    pool = adaptive_pool("a", "b")
    plan = planned(call(), pool)
    for _ in range(50):
        pool.retry.adaptive.learn("search", 2, ConnectFailed.error_class, 0.0, False, monotonic(), base=0.01)
    assert [next_wait(pool, plan, ConnectFailed("x")) for _ in range(10)] == [0.0] * 10
    assert not [line for line in pool.retry.adaptive.snapshot(monotonic()) if line.rate > 0.1]


async def test_a_refusal_without_another_endpoint_waits_for_the_learned_time() -> None:
    pool = adaptive_pool("a")
    plan = planned(call(), pool)
    for _ in range(12):
        next_wait(pool, plan, ServerRefused(429), ServerRefused(429))
    waits = [next_wait(pool, plan, ServerRefused(429)) for _ in range(40)]
    assert sum(wait is None for wait in waits) >= 30


async def test_tools_that_clients_make_up_share_one_history() -> None:
    pool = adaptive_pool("a")
    for number in range(30):
        plan = planned(call(f"made-up-{number}"), pool)
        next_wait(pool, plan, ServerRefused(429), ServerRefused(429))
    assert {line.name for line in pool.retry.adaptive.snapshot(monotonic())} == {OTHER}


async def test_learned_rates_end_with_their_policy() -> None:
    pool = adaptive_pool("a", "b")
    next_wait(pool, planned(call(), pool), ServerFault(500), ServerFault(500))
    assert pool.retry.adaptive.snapshot(monotonic())
    pool.configure(spec(ADAPTIVE.replace("10ms", "20ms"), at("a"), at("b")))
    assert not pool.retry.adaptive.snapshot(monotonic())


async def test_a_tools_preset_holds_for_that_tool_alone() -> None:
    pool = pool_of('[tools."slow*".retry_policy]\npreset = "throttle"\nmax_attempts = 2', at("a"))
    slow, other = (
        planned(call("slow_one"), pool).retry,
        planned(call(), pool).retry,
    )
    assert (slow.strategy, slow.base_delay, slow.max_delay, slow.max_attempts) == ("linear", 2.0, 30.0, 2)
    assert (slow.budget_percent, other.strategy, other.max_attempts) == (20, "exponential", 5)


@pytest.mark.parametrize("strategy", ["round_robin", "weighted_round_robin", "least_connections", "random"])
async def test_calls_whose_endpoint_is_full_are_spread_over_all_others(strategy: str) -> None:
    text = f'[limits.endpoint]\nmax_concurrent = 1\n[load_balancer]\nstrategy = "{strategy}"'
    pool = pool_of(text, at("a"), at("b"), at("c"))
    next(iter(pool.endpoints.values())).active = 1
    picks = [pool.picker.endpoint_for(planned(call(), pool), (), monotonic()) for _ in range(300)]
    counts = Counter(names((endpoint,)) for endpoint in picks)
    assert set(counts) == {"b", "c"}
    assert min(counts.values()) > 100
