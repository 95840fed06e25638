"""The view of a pool, here of one that was not started: no test needs a server."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from time import monotonic

import pytest

from mcppool.gateway import pool_view as module
from mcppool.gateway.component_health import component_health
from mcppool.gateway.pool_view import pool_view
from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.views import ConfigView, PoolView
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.circuit_breaker import BreakerState, CircuitBreaker
from mcppool.policy.error_class import ErrorClass
from mcppool.spec import loads_toml
from mcppool.wire.sealing import Key, KeyRing

A, B = "http://127.0.0.1:8001/mcp", "http://127.0.0.1:8002/mcp"


def pool(sections: str = "") -> ServerPool:
    """A pool of two endpoints."""
    spec = loads_toml(f'[[pools]]\nname = "search"\nendpoints = ["{A}", "{B}"]\n{sections}').pools[0]
    return ServerPool(spec, PoolMetrics("search"), KeyRing([Key("k", bytes(32))]), random.Random(0))


def reasons(view: PoolView) -> list[tuple[str, str | None]]:
    """State and reason of each endpoint."""
    return [(endpoint.state, endpoint.reason) for endpoint in view.endpoints]


async def test_an_endpoint_that_is_lost_tells_why_and_is_among_the_recent_faults() -> None:
    found = pool()
    first = found.endpoints[A]
    first.stats.last_fault = "refused"
    first.health.unreachable()
    view = pool_view(found)
    assert reasons(view) == [("unreachable", "refused"), ("available", None)]
    assert [(event.endpoint, event.reason, event.detail) for event in view.events] == [(A, "unreachable", "refused")]
    first.health.checked(True, found.spec)
    assert [event.detail for event in pool_view(found).events] == ["a check was answered", "refused"]


async def test_an_ejected_endpoint_tells_for_how_long(monkeypatch: pytest.MonkeyPatch) -> None:
    now = monotonic()
    monkeypatch.setattr(module, "monotonic", lambda: now)
    found = pool()
    first = found.endpoints[A]
    first.stats.last_fault = "HTTP 500"
    first.health.outlier.ejected_until = now + 20
    first.health.ejected()
    assert reasons(pool_view(found))[0] == ("ejected", "for another 20 s: HTTP 500")


async def test_one_that_leaves_is_no_fault() -> None:
    found = pool()
    found.endpoints[A].drain()
    view = pool_view(found)
    assert reasons(view)[0] == ("draining", "takes no new calls")
    assert view.events == ()


async def test_shares_are_of_recent_attempts() -> None:
    found = pool()
    assert [endpoint.share for endpoint in pool_view(found).endpoints] == [None, None]
    now = monotonic()
    for url, count in ((A, 3), (B, 1)):
        for _ in range(count):
            found.endpoints[url].success.observe(True, now)
    view = pool_view(found)
    assert [endpoint.share for endpoint in view.endpoints] == pytest.approx([0.75, 0.25], abs=0.01)
    assert view.endpoints[0].rate == pytest.approx(3 * view.endpoints[1].rate, rel=0.01)


async def test_learned_retries_are_shown_if_a_tool_uses_them() -> None:
    assert pool_view(pool()).learned is None
    found = pool('[pools.retry_policy]\nstrategy = "adaptive"\nbase_delay = "100ms"\nmax_delay = "10s"')
    assert pool_view(found).learned == ()
    now = monotonic()
    for _ in range(20):
        found.retry.adaptive.learn("tools/list", 3, ErrorClass.TIMEOUT, 0.3, False, now, base=0.1)
    found.retry.adaptive.learn("tools/list", 2, ErrorClass.NETWORK, 0.0, True, now, base=0.1)
    lines = [(line.error_class, line.attempt, line.wait, line.used) for line in pool_view(found).learned or ()]
    assert lines == [("network", 2, None, True), ("timeout", 3, None, False), ("timeout", None, 0.4, False)]


async def test_a_breaker_that_is_not_closed_degrades_its_component() -> None:
    found = pool()
    health = component_health({"search": found}, ConfigView())
    assert health["breakers"].status == "healthy"
    breaker = found.endpoints[B].breakers["find"] = CircuitBreaker()
    breaker.state = BreakerState.OPEN
    health = component_health({"search": found}, ConfigView())
    assert (health["breakers"].status, health["breakers"].message) == ("degraded", "not closed for find of search")
    assert pool_view(found).endpoints[1].breakers == {"find": "open"}


async def test_an_endpoint_tells_since_when_it_has_its_state() -> None:
    found = pool()
    before = pool_view(found).endpoints[0].since
    found.endpoints[A].health.unreachable()
    after = pool_view(found).endpoints[0].since
    assert before is not None
    assert after is not None
    assert after > before


async def test_the_expected_shares_are_those_of_the_weights_of_the_endpoints_that_take_calls() -> None:
    found = pool()
    found.endpoints[A].weight = 300.0
    assert [endpoint.expected_share for endpoint in pool_view(found).endpoints] == [0.75, 0.25]
    found.endpoints[A].health.unreachable()
    assert [endpoint.expected_share for endpoint in pool_view(found).endpoints] == [0.0, 1.0]
    found.endpoints[B].health.unreachable()
    assert [endpoint.expected_share for endpoint in pool_view(found).endpoints] == [None, None]


async def test_round_robin_expects_equal_shares_whatever_the_weights() -> None:
    found = pool('[pools.load_balancer]\nstrategy = "round_robin"')
    found.endpoints[A].weight = 300.0
    assert [endpoint.expected_share for endpoint in pool_view(found).endpoints] == [0.5, 0.5]


async def test_the_latest_lost_calls_come_first() -> None:
    found = pool()
    now = datetime.now(UTC)
    found.metrics.losses.add("timeout", now, "find", A, "late")
    found.metrics.losses.add("no_endpoint", now + timedelta(seconds=1), "find", None, "none")
    assert [loss.reason for loss in pool_view(found).losses] == ["no_endpoint", "timeout"]
