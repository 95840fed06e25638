"""The admin pages of several processes as one: sums, and the worst where a sum has no meaning."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from mcppool.observe.collector import GatewayCollector
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.status_json import config_body, load_body, status_body
from mcppool.observe.views import ComponentHealth, ConfigView, EndpointView, LossView, PoolView, RejectedConfig
from mcppool.workers import merged_metrics
from mcppool.workers.merged_metrics import HIGHEST, LOWEST, SUMMED, as_metrics, counts, merged, sent, still_there
from mcppool.workers.merged_status import merged_config, merged_health, merged_load, merged_ready, merged_status

URL = "http://127.0.0.1:8001/mcp"
PER_WORKER = {"mcppool_endpoint_latency_seconds", "mcppool_endpoint_health_score"}
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def view(calls: int, *, available: bool = True, breaker: str = "closed", url: str = URL) -> PoolView:
    return PoolView(
        "search",
        (
            EndpointView(
                url, available=available, state="available" if available else "ejected", weight=100,
                active_requests=calls, latency=0.01 * calls, score=0.5, requests=calls, sessions=calls,
                connections={"connected": calls}, breakers={"find": breaker},
            ),
        ),
        outcomes={"success": calls}, calls=calls, failed_calls=0, sessions=calls, waiting=calls,
    )  # fmt: skip


def families(calls: int, *, available: bool = True, url: str = URL) -> list[merged_metrics.Sent]:
    metrics = GatewayMetrics()
    pool = metrics.pool("search")
    pool.known_tools = frozenset({"find"})
    pool.tool("find").success += calls
    pool.tool("find").duration.observe(0.1)
    found = GatewayCollector(
        metrics, lambda: [view(calls, available=available, url=url)], lambda: ConfigView(hash="h")
    ).collect()
    return [sent(family) for family in found]


def samples(found: list[merged_metrics.MergedFamily]) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for metric in as_metrics(found)
        for sample in metric.samples
    }


def value(found: list[merged_metrics.MergedFamily], name: str, **labels: str) -> float:
    return samples(found)[name, frozenset(labels.items())]


def test_counts_are_summed_states_are_the_worst_and_averages_stay_apart() -> None:
    found = merged([(1, families(2)), (2, families(3, available=False))])
    tool = {"server_id": "search", "tool_name": "find"}
    endpoint = {"pool": "search", "endpoint": URL}
    assert value(found, "mcp_tool_executions_total", **tool, status="success") == 5
    assert value(found, "mcp_tool_execution_duration_seconds_count", **tool) == 2
    assert value(found, "mcp_tool_execution_duration_seconds_bucket", **tool, le="+Inf") == 2
    assert value(found, "mcppool_endpoint_active_requests", **endpoint) == 5
    assert value(found, "mcppool_endpoint_available", **endpoint) == 0
    assert value(found, "mcppool_endpoint_weight", **endpoint) == 100
    assert value(found, "mcppool_config_info", hash="h") == 1
    assert value(found, "mcppool_endpoint_latency_seconds", **endpoint, worker="1") == pytest.approx(0.02)
    assert value(found, "mcppool_endpoint_latency_seconds", **endpoint, worker="2") == pytest.approx(0.03)


def test_the_counts_of_a_worker_that_has_ended_stay() -> None:
    ended = counts(families(7))
    ended = counts(families(1), ended)
    found = merged([(1, families(2))], ended)
    tool = {"server_id": "search", "tool_name": "find"}
    assert value(found, "mcp_tool_executions_total", **tool, status="success") == 10
    assert value(found, "mcppool_endpoint_active_requests", pool="search", endpoint=URL) == 2


def test_the_counts_of_ended_workers_go_with_the_pool_and_the_endpoint() -> None:
    ended = counts(families(7))
    kept = still_there(ended, [families(1)])
    assert samples(kept) == samples(ended)
    left = samples(still_there(ended, [families(1, url="http://127.0.0.1:8002/mcp")]))
    assert left == {key: value for key, value in samples(ended).items() if ("endpoint", URL) not in key[1]}
    nothing = samples(still_there(ended, [[("calls", "", "counter", [("calls_total", {"pool": "other"}, 1.0, None)])]]))
    assert not [key for key in nothing if {"pool", "server_id", "endpoint"} & dict(key[1]).keys()]
    assert nothing


def test_every_gauge_has_a_rule_of_its_own() -> None:
    rules = (SUMMED, LOWEST, HIGHEST, PER_WORKER)
    for name, _, kind, _ in families(1):
        assert kind != "gauge" or sum(name in rule for rule in rules) == 1, name


def page(calls: int, **more: Any) -> dict[str, Any]:
    return status_body([view(calls, **more)], {}, ConfigView(hash=str(calls), loaded_at=NOW), {}, NOW)


def test_the_status_page_adds_calls_and_shows_the_worst_state() -> None:
    whole = merged_status([page(2), page(4, available=False, breaker="open")])
    (pool,) = whole["pools"]
    (endpoint,) = pool["endpoints"]
    assert (pool["sessions"], pool["waiting"], pool["outcomes"]) == (6, 6, {"success": 6})
    assert (endpoint["state"], endpoint["attempts"], endpoint["inFlight"]) == ("ejected", 6, 6)
    assert endpoint["connections"] == {"connected": 6}
    assert pool["breakers"] == [{"tool": "find", "endpoint": URL, "state": "open"}]
    assert set(whole) == set(page(1))
    assert set(pool) == set(page(1)["pools"][0])


def test_the_load_is_the_sum() -> None:
    whole = merged_load([load_body([view(2)]), load_body([view(3)])])
    assert whole["pools"]["search"][URL] == {"inFlight": 5, "sessions": 5}
    assert whole["clients"]["search"]["calls"] == 5
    assert set(whole) == set(load_body([]))


def test_the_configuration_is_the_oldest_and_any_refusal_counts() -> None:
    old = config_body(ConfigView(hash="old", loaded_at=NOW))
    refused = RejectedConfig(("no",), NOW, "x")
    new = config_body(ConfigView("new", loaded_at=NOW.replace(hour=1), rejected=refused))
    assert merged_config([new, old])["hash"] == "old"
    assert merged_config([old, new])["rejected"]["hash"] == "x"


def test_health_is_that_of_the_worker_that_is_worst_off_and_names_it() -> None:
    well, ill = ComponentHealth("healthy", "fine"), ComponentHealth("unhealthy", "full")
    assert merged_health([(1, {"memory": well}), (2, {"memory": well})]) == {"memory": well}
    found = merged_health([(1, {"memory": well}), (2, {"memory": ill})])
    assert found == {"memory": ComponentHealth("unhealthy", "worker 2: full")}


def test_a_component_is_ill_since_the_first_worker_is_and_well_since_the_last_one_is() -> None:
    early, late = NOW, NOW.replace(hour=5)
    for status, since in (("unhealthy", early), ("healthy", late)):
        parts = [(at, {"memory": ComponentHealth(status, "so", when)}) for at, when in ((1, late), (2, early))]
        assert merged_health(parts)["memory"].since == since
    mixed = [
        (1, {"memory": ComponentHealth("healthy", "a", early)}),
        (2, {"memory": ComponentHealth("degraded", "b", late)}),
    ]
    assert merged_health(mixed)["memory"].since == late


def test_lost_calls_of_one_reason_are_added_up_since_the_first_and_tell_of_the_last() -> None:
    def lost(count: int, since: int, last: int, name: str) -> dict[str, Any]:
        when = [NOW.replace(hour=hour) for hour in (since, last)]
        loss = LossView("timeout", *when, count, 10 * count, name, URL, "")
        return status_body([PoolView("search", losses=(loss,))], {}, ConfigView(loaded_at=NOW), {}, NOW)

    (found,) = merged_status([lost(2, 3, 9, "find"), lost(1, 1, 4, "fetch")])["pools"][0]["lost"]
    assert (found["count"], found["total"], found["name"]) == (3, 30, "find")
    assert (found["since"][11:13], found["last"][11:13]) == ("01", "09")


def test_a_pool_is_ready_when_one_worker_can_serve_it() -> None:
    assert merged_ready([{"a": "x", "b": "y"}, {"b": "y"}]) == {"b": "y"}
