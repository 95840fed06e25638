"""How each component is judged."""

from __future__ import annotations

from datetime import UTC, datetime

from mcppool.observe import health
from mcppool.observe.views import ComponentHealth, ConfigView, EndpointView, PoolView, RejectedConfig

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def pool(*endpoints: EndpointView) -> PoolView:
    return PoolView("search", endpoints)


def endpoint(available: bool = True, draining: bool = False, **connections: int) -> EndpointView:
    return EndpointView(f"http://127.0.0.1:{8000}/mcp", available=available, draining=draining, connections=connections)


def test_without_a_server_the_connection_pool_and_the_balancer_are_unhealthy() -> None:
    assert health.connection_pool([]).status == "unhealthy"
    assert health.balancer([]).status == "unhealthy"
    assert health.connection_pool([pool()]) == ComponentHealth("unhealthy", "without endpoints: search")


def test_the_connection_pool_says_what_is_connected_and_what_cannot_be() -> None:
    assert health.connection_pool([pool(endpoint(connected=3))]).status == "healthy"
    degraded = health.connection_pool([pool(endpoint(connected=3), endpoint(reconnecting=1))])
    assert degraded == ComponentHealth("degraded", "3 connections to 2 endpoints, 1 cannot be established")


def test_the_balancer_is_degraded_with_an_endpoint_out_and_unhealthy_with_all_out() -> None:
    assert health.balancer([pool(endpoint(), endpoint())]).status == "healthy"
    assert health.balancer([pool(endpoint(), endpoint(available=False))]).status == "degraded"
    assert health.balancer([pool(endpoint(available=False))]).status == "unhealthy"


def test_an_endpoint_that_drains_is_no_fault() -> None:
    assert health.balancer([pool(endpoint(), endpoint(available=False, draining=True))]).status == "healthy"


def test_a_refused_configuration_degrades_while_an_older_one_is_in_force() -> None:
    rejected = RejectedConfig(("pools.toml:7: wrong",), NOW)
    assert health.configuration(ConfigView()).status == "unhealthy"
    assert health.configuration(ConfigView(hash="sha256:a")).status == "healthy"
    assert health.configuration(ConfigView(hash="sha256:a", rejected=rejected)).status == "degraded"
    assert health.configuration(ConfigView(rejected=rejected)).status == "unhealthy"


def test_the_whole_is_as_its_worst_part() -> None:
    healthy, degraded = ComponentHealth("healthy", ""), ComponentHealth("degraded", "")
    assert health.overall({"a": healthy, "b": degraded}) == "degraded"
    assert health.overall({"a": ComponentHealth("unhealthy", ""), "b": degraded}) == "unhealthy"
    assert health.overall({"a": healthy}) == "healthy"
