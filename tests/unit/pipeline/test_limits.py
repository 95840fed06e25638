"""`limits` and `rate_limit`: refusals with their causes, and nothing kept of a refused call."""

from __future__ import annotations

import asyncio
from functools import partial
from itertools import count
from math import inf
from time import monotonic

import pytest

from mcppool.access.passthrough import NOBODY
from mcppool.pipeline.admission import limits as limits_module
from mcppool.pipeline.admission import rates as rates_module
from mcppool.pipeline.admission.concurrency_limiter import ConcurrencyLimiter
from mcppool.pipeline.admission.limits import MAX_TOOLS, Admission, Admitted, has_limits, leave
from mcppool.pipeline.call import Call
from mcppool.pipeline.catalog import PoolCatalog
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.concurrency_limit import START, WINDOW
from mcppool.policy.principal import ANONYMOUS, Principal
from mcppool.upstream.catalog import ToolInfo
from mcppool.upstream.failures import LimitReached, RateLimited
from tests.principals import principal_of
from tests.unit.footprint import footprint
from tests.unit.pipeline.pools import call_of, planned, pool_of, spec_of, tool_call


def limits_of(pool: ServerPool) -> Admission:
    limits = pool.admission
    assert limits is not None
    return limits


async def enter(limits: Admission, pool: ServerPool, call: Call) -> list[ConcurrencyLimiter]:
    return await limits.enter(call, planned(call, pool))


async def test_a_pool_without_limits_has_nothing_to_ask() -> None:
    pool = pool_of("", "a")
    assert not has_limits(pool.spec)
    assert pool.admission is None


async def test_the_pools_limit_holds_over_all_its_calls() -> None:
    pool = pool_of("[limits.pool]\nmax_concurrent = 2\nmax_queue = 0", "a", "b")
    limits = limits_of(pool)
    first = await enter(limits, pool, tool_call("read"))
    await enter(limits, pool, call_of("tools/list"))
    with pytest.raises(LimitReached):
        await enter(limits, pool, tool_call("write"))
    leave(first)
    await enter(limits, pool, tool_call("write"))


async def test_one_client_cannot_have_all_places() -> None:
    pool = pool_of("[limits.principal]\nmax_concurrent = 2\nmax_queue = 1\n[limits.pool]\nmax_concurrent = 4", "a")
    limits = limits_of(pool)
    held = [await enter(limits, pool, tool_call("read", principal="ann")) for _ in range(2)]
    waiting = asyncio.ensure_future(enter(limits, pool, tool_call("read", principal="ann")))
    await asyncio.sleep(0)
    assert limits.waiting == 1
    with pytest.raises(LimitReached, match=r"limits\.principal"):
        await enter(limits, pool, tool_call("read", principal="ann"))
    for _ in range(2):  # the waiting call keeps no place of the pool
        await enter(limits, pool, tool_call("read", principal="bob"))
    leave(held[0])
    await waiting


async def test_gates_of_clients_that_call_no_more_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits_module, "MAX_CLIENTS", 10)
    pool = pool_of("[limits.principal]\nmax_concurrent = 1", "a")
    limits = limits_of(pool)
    held = await enter(limits, pool, tool_call("read", principal="ann"))
    for number in range(100):
        leave(await enter(limits, pool, tool_call("read", principal=f"client {number}")))
    assert len(limits.client_gates) <= 10
    with pytest.raises(LimitReached):
        await enter(limits, pool, tool_call("read", principal="ann"))
    leave(held)


async def test_a_tools_limit_holds_for_that_tool_alone() -> None:
    pool = pool_of("[tools.read]\nmax_concurrent = 1", "a")
    limits = limits_of(pool)
    await enter(limits, pool, tool_call("read"))
    with pytest.raises(LimitReached):
        await enter(limits, pool, tool_call("read"))
    assert await enter(limits, pool, tool_call("write")) == []


async def test_the_limit_of_endpoints_grows_and_shrinks_with_them() -> None:
    pool = pool_of("[limits.endpoint]\nmax_concurrent = 1\nmax_queue = 5", "a", "b")
    limits = pool.attempts.admission = limits_of(pool)
    endpoint = next(iter(pool.endpoints.values()))
    endpoint.health.unreachable()
    await enter(limits, pool, tool_call("read"))
    waiting = asyncio.ensure_future(enter(limits, pool, tool_call("read")))
    await asyncio.sleep(0)
    assert limits.waiting == 1
    endpoint.health.checked(True, pool.spec)
    assert await waiting


async def test_a_call_that_gives_up_at_one_gate_leaves_the_others() -> None:
    text = "[limits.pool]\nmax_concurrent = 1\nmax_queue = 5\n[tools.read]\nmax_concurrent = 5"
    pool = pool_of(text, "a")
    limits = limits_of(pool)
    held = await enter(limits, pool, tool_call("write"))
    waiting = asyncio.ensure_future(enter(limits, pool, tool_call("read")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait([waiting])
    leave(held)
    gates = await enter(limits, pool, tool_call("read"))
    assert [gate.inside for gate in gates] == [1, 1]
    leave(gates)
    assert [gate.inside for gate in gates] == [0, 0]


@pytest.fixture
def no_time_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    now = monotonic()
    monkeypatch.setattr(rates_module, "monotonic", lambda: now)


@pytest.mark.usefixtures("no_time_passes")
async def test_each_client_has_a_rate_of_its_own() -> None:
    pool = pool_of("[rate_limit.principal]\nrequests_per_second = 1\nburst = 2", "a")
    limits = limits_of(pool)
    for _ in range(2):
        await enter(limits, pool, tool_call("read", principal="ann"))
    with pytest.raises(RateLimited) as refused:
        await enter(limits, pool, tool_call("read", principal="ann"))
    assert refused.value.retry_after == pytest.approx(1)
    assert not refused.value.sent
    await enter(limits, pool, tool_call("read", principal="bob"))


TOKEN, OTHER = (Principal(name, "passthrough", token_hash=name) for name in ("t1", "t2"))


@pytest.mark.usefixtures("no_time_passes")
@pytest.mark.parametrize(
    ("one", "other", "share"),
    [
        ((ANONYMOUS, "10.0.0.1"), (ANONYMOUS, "10.0.0.1"), True),
        ((ANONYMOUS, "10.0.0.1"), (ANONYMOUS, "10.0.0.2"), False),
        ((NOBODY, "10.0.0.1"), (NOBODY, "10.0.0.2"), False),
        ((NOBODY, "10.0.0.1"), (TOKEN, "10.0.0.1"), False),
        ((TOKEN, "10.0.0.1"), (TOKEN, "10.0.0.2"), True),
        ((TOKEN, "10.0.0.1"), (OTHER, "10.0.0.1"), False),
        ((principal_of("ann"), "10.0.0.1"), (principal_of("ann"), "10.0.0.2"), True),
    ],
)
@pytest.mark.parametrize(
    "limit", ["[limits.principal]\nmax_concurrent = 1", "[rate_limit.principal]\nrequests_per_second = 1"]
)
async def test_limits_of_a_client_count_its_principal_or_the_address_of_one_without_a_credential(
    limit: str, one: tuple[Principal, str], other: tuple[Principal, str], share: bool
) -> None:
    pool = pool_of(limit, "a")
    limits = limits_of(pool)
    await enter(limits, pool, tool_call("read", principal=one[0], address=one[1]))
    second = enter(limits, pool, tool_call("read", principal=other[0], address=other[1]))
    if share:
        with pytest.raises((LimitReached, RateLimited), match="principal"):
            await second
    else:
        await second


@pytest.mark.usefixtures("no_time_passes")
async def test_calls_of_the_library_are_those_of_one_client() -> None:
    pool = pool_of("[rate_limit.principal]\nrequests_per_second = 1", "a")
    await enter(limits_of(pool), pool, tool_call("read"))
    with pytest.raises(RateLimited):
        await enter(limits_of(pool), pool, tool_call("read"))


@pytest.mark.usefixtures("no_time_passes")
async def test_a_call_that_one_rate_refuses_takes_nothing_from_the_others() -> None:
    rate = "requests_per_second = 1\nburst ="
    text = f"[rate_limit.principal]\n{rate} 2\n[rate_limit.tool]\n{rate} 1"
    pool = pool_of(text, "a")
    limits = limits_of(pool)
    await enter(limits, pool, tool_call("read"))
    for _ in range(5):
        with pytest.raises(RateLimited, match="tool"):
            await enter(limits, pool, tool_call("read"))
    await enter(limits, pool, tool_call("write"))


async def test_of_tools_that_clients_make_up_only_so_many_are_remembered() -> None:
    pool = pool_of("[limits.tool]\nmax_concurrent = 1\n[rate_limit.tool]\nrequests_per_second = 1\nburst = 1", "a")
    limits = limits_of(pool)
    sizes = []
    for number in range(3 * MAX_TOOLS):
        leave(await enter(limits, pool, tool_call(f"made-up-{number}")))
        if number % MAX_TOOLS == MAX_TOOLS - 1:
            sizes.append(footprint(limits))
    assert max(sizes) <= sizes[0] * 1.01


@pytest.mark.parametrize("entry", ["made-up", "made-*"])
async def test_the_limit_of_a_tool_holds_before_the_catalog_knows_it(entry: str) -> None:
    pool = pool_of(f'[tools."{entry}"]\nmax_concurrent = 1', "a")
    limits = limits_of(pool)
    inside = await enter(limits, pool, tool_call("made-up"))
    with pytest.raises(LimitReached, match="made-up"):
        await enter(limits, pool, tool_call("made-up"))
    leave(inside)
    leave(await enter(limits, pool, tool_call("made-up")))


async def test_at_an_endpoint_that_is_full_a_repetition_waits_where_a_first_attempt_is_refused() -> None:
    pool = pool_of("[limits.endpoint]\nmax_concurrent = 1\nmax_queue = 0", "a", "b")
    limits = limits_of(pool)
    a, b = pool.endpoints.values()
    plan = planned(tool_call("read"), pool)
    place = await limits.at(a, plan, again=False)
    assert place is not None
    with pytest.raises(LimitReached):
        await limits.at(a, plan, again=False)
    assert await limits.at(b, plan, again=False)
    repeated = asyncio.ensure_future(limits.at(a, plan, again=True))
    await asyncio.sleep(0)
    assert limits.waiting == 1
    place.leave()
    assert await repeated is place


async def test_of_endpoints_that_are_gone_no_places_are_kept() -> None:
    pool = pool_of("[limits.endpoint]\nmax_concurrent = 1\nmax_queue = 0", "a", "b")
    limits = pool.attempts.admission = limits_of(pool)
    plan = planned(tool_call("read"), pool)
    gone, stays = pool.endpoints.values()
    places = {endpoint: await limits.at(endpoint, plan, again=False) for endpoint in (gone, stays)}
    for place in places.values():
        assert place is not None
        place.leave()
    del pool.endpoints[gone.key]
    limits.endpoints_changed()
    assert await limits.at(stays, plan, again=False) is places[stays]
    assert await limits.at(gone, plan, again=False) is not places[gone]


async def test_a_limit_that_is_learned_follows_each_endpoint() -> None:
    pool = pool_of('[limits]\nendpoint = "auto"', "a", "b")
    limits = limits_of(pool)
    one, two = pool.endpoints.values()
    assert one.places == two.places == START
    held = [await enter(limits, pool, tool_call("read")) for _ in range(2 * int(START))]
    waiting = asyncio.ensure_future(enter(limits, pool, tool_call("read")))
    await asyncio.sleep(0)
    assert limits.waiting == 1
    for number in range(2 * WINDOW):
        limits.answered(one, "read", 0.1, 1 if number < WINDOW else int(START))
    assert one.places > START
    await asyncio.wait_for(waiting, 60)
    limits.overloaded(two)
    assert two.places < START
    for gates in held:
        leave(gates)


async def test_a_learned_limit_ends_with_its_setting() -> None:
    pool = pool_of('[limits]\nendpoint = "auto"', "a")
    (endpoint,) = pool.endpoints.values()
    pool.configure(spec_of("[limits.endpoint]\nmax_concurrent = 3", "a"))
    assert (endpoint.places, endpoint.concurrency) == (3, None)
    pool.configure(spec_of("", "a"))
    assert endpoint.places == inf


async def test_a_client_whose_gate_was_forgotten_meanwhile_has_one_limit_on_both_paths(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(limits_module, "MAX_CLIENTS", 3)
    pool = pool_of("[limits.principal]\nmax_concurrent = 1\nmax_queue = 0", "a")
    limits, (endpoint,) = limits_of(pool), pool.endpoints.values()

    def try_enter(name: str) -> Admitted | None:
        call = tool_call("read", principal=name)
        return limits.try_enter(call, planned(call, pool), endpoint)

    for name in ("ann", "bob", "cid", "dan", "eve"):
        admitted = try_enter(name)
        assert admitted is not None
        leave(admitted.gates)
    assert try_enter("ann") is not None
    assert try_enter("ann") is None
    with pytest.raises(LimitReached):
        await enter(limits, pool, tool_call("read", principal="ann"))


async def test_strangers_do_not_take_the_bucket_of_a_client_that_calls_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rates_module, "MAX_BUCKETS", 3)
    monkeypatch.setattr(rates_module, "monotonic", partial(next, count(1000.0, 0.001)))
    pool = pool_of("[rate_limit.principal]\nrequests_per_second = 1\nburst = 1", "a")
    rates = limits_of(pool).rates

    def take(name: str) -> bool:
        call = tool_call("read", principal=name)
        return rates.try_take(call, planned(call, pool))

    assert take("ann")
    for number in range(10):
        assert take(f"stranger {number}")
        assert not take("ann")


async def test_a_tool_that_comes_into_the_catalog_gets_its_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rates_module, "monotonic", lambda: 1000.0)
    pool = pool_of("[rate_limit.tool]\nrequests_per_second = 1\nburst = 1", "a")
    rates, call = limits_of(pool).rates, tool_call("new")
    plan = planned(call, pool)
    assert rates.try_take(call, plan)
    assert rates.try_take(call, plan)
    pool.settings.learn(PoolCatalog(tools={"new": ToolInfo("new", None, None)}))
    assert rates.try_take(call, plan)
    assert not rates.try_take(call, plan)
