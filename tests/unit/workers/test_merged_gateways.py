"""The status pages of several gateways as one."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from mcppool.observe.status_json import status_body
from mcppool.observe.views import ComponentHealth, ConfigView, EndpointView, PoolView, Status
from mcppool.workers.merged_gateways import merged_gateways

NOW = datetime(2026, 1, 2, tzinfo=UTC)
LATER = NOW.replace(hour=5)
A, B = "http://10.0.0.1:9090", "http://10.0.0.2:9090"


def page(status: Status, since: datetime, *names: str) -> dict[str, Any]:
    pools = [PoolView(name, (EndpointView(A, True, requests=3),), calls=3, sessions=2) for name in names]
    return status_body(pools, {"cache": ComponentHealth(status, "so", since)}, ConfigView(loaded_at=NOW), {}, NOW)


def test_sums_are_those_of_all_gateways_and_a_pool_of_one_of_them_is_there() -> None:
    whole = merged_gateways([(A, page("healthy", NOW, "search")), (B, page("healthy", NOW, "search", "docs"))])
    assert [(pool["name"], pool["sessions"]) for pool in whole["pools"]] == [("search", 4), ("docs", 2)]
    assert whole["pools"][0]["endpoints"][0]["attempts"] == 6


def test_a_component_is_as_the_gateway_that_is_worst_off_sees_it_which_is_named() -> None:
    whole = merged_gateways([(A, page("healthy", NOW)), (B, page("unhealthy", LATER))])
    assert whole["health"]["overall"] == "unhealthy"
    assert whole["health"]["components"]["cache"] == {"status": "unhealthy", "message": f"{B}: so"}
    assert whole["healthSince"]["cache"].startswith("2026-01-02T05")


def test_alike_gateways_are_well_since_the_last_of_them_is() -> None:
    whole = merged_gateways([(A, page("healthy", NOW)), (B, page("healthy", LATER))])
    assert whole["health"]["components"]["cache"] == {"status": "healthy", "message": "so"}
    assert whole["healthSince"]["cache"].startswith("2026-01-02T05")


def test_one_gateway_is_as_it_is() -> None:
    alone = page("degraded", NOW, "search")
    assert merged_gateways([(A, alone)]) == alone
