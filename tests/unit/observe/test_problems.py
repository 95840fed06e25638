"""What is wrong, as the page and the terminal say it."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from mcppool.observe.problems import MAX_OF_A_KIND, problems
from mcppool.observe.status_json import status_body
from mcppool.observe.views import ComponentHealth, ConfigView, EndpointView, LossView, PoolView

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
A = "http://127.0.0.1:8001/mcp"
WELL = ComponentHealth("healthy", "works", SINCE)


def found(*pools: PoolView, **components: ComponentHealth) -> list[dict[str, Any]]:
    """The problems of these pools and components."""
    named = {name.replace("__", " "): component for name, component in components.items()}
    return problems(json.loads(json.dumps(status_body(pools, named, ConfigView(), {}, SINCE))))


def loss(last: datetime, endpoint: str | None = A) -> LossView:
    return LossView("bad_upstream_answer", SINCE, last, 7, 9, "find", endpoint, "not JSON")


def test_a_well_gateway_has_none() -> None:
    assert found(PoolView("search", (EndpointView(A, True),)), cache=WELL, pool__search=WELL) == []


def test_lost_calls_name_the_tool_the_reason_the_endpoint_and_the_time_since_when() -> None:
    (problem,) = found(PoolView("search", losses=(loss(datetime.now(UTC)),)))
    assert problem == {
        "severity": "failing", "pool": "search", "name": "find", "since": "2026-01-02T03:04:05.000Z",
        "what": f"7 calls lost: bad upstream answer; the last one at {A}",
    }  # fmt: skip


def test_calls_that_were_lost_some_time_ago_are_no_problem_now() -> None:
    assert found(PoolView("search", losses=(loss(datetime.now(UTC) - timedelta(seconds=90)),))) == []


def test_ill_endpoints_and_open_breakers_are_named_and_the_rest_is_counted() -> None:
    ill = [
        EndpointView(f"{A}/{n}", False, state="ejected", reason="HTTP 500", since=SINCE, breakers={f"tool{n}": "open"})
        for n in range(MAX_OF_A_KIND + 2)
    ]
    lines = [(line["name"], line["what"]) for line in found(PoolView("search", tuple(ill)))]
    assert (f"{A}/0", "ejected: HTTP 500") in lines
    assert (None, "2 more endpoints take no calls") in lines
    assert ("tool0", "its circuit breaker is open") in lines
    assert (None, "2 more breakers are open") in lines
    assert len(lines) == 2 * (MAX_OF_A_KIND + 1)


def test_an_endpoint_that_leaves_or_joins_and_a_breaker_that_is_tried_are_no_problem() -> None:
    views = [EndpointView(A, False, state=state) for state in ("joining", "draining", "busy")]
    assert found(PoolView("p", (*views, EndpointView("b", True, breakers={"find": "half_open"})))) == []


def test_what_fails_comes_before_what_is_degraded() -> None:
    lines = found(
        PoolView("search", (EndpointView(A, False, state="hung"),), panic=True),
        configuration=ComponentHealth("degraded", "refused", SINCE),
        memory=ComponentHealth("unhealthy", "full", SINCE),
        pool__search=ComponentHealth("degraded", "1 of 2 servers takes no calls", SINCE),
        balancer=ComponentHealth("degraded", "1 endpoint is left out", SINCE),
    )
    assert [(line["severity"], line["pool"], line["name"]) for line in lines] == [
        ("failing", None, "memory"), ("failing", "search", A), ("degraded", None, "configuration"),
        ("degraded", "search", None), ("degraded", "search", None),
    ]  # fmt: skip


def test_without_pools_the_components_speak_for_themselves() -> None:
    (line,) = found(balancer=ComponentHealth("unhealthy", "no pool is configured", SINCE))
    assert line["what"] == "no pool is configured"
