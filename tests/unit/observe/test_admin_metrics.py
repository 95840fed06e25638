"""The metrics of the admin port, read by the parsers of Prometheus."""

from __future__ import annotations

import asyncio
import platform
import subprocess
from dataclasses import replace

from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import mcppool
from mcppool.built import BUILD
from mcppool.observe.views import (
    EndpointView,
    PoolView,
)
from tests.requirements import need_program
from tests.unit.observe.admin_port import LOADED, A, Admin, B, fill


async def test_the_founding_documents_families_have_their_exact_names_and_labels(admin: Admin) -> None:
    fill(admin.gateway)
    assert await admin.value("mcp_connections_total", server_id="search", status="connected") == 1
    assert await admin.value("mcp_connections_total", server_id="search", status="closed") == 0
    assert await admin.value("mcp_connection_duration_seconds_count", server_id="search") == 1
    assert await admin.value("mcp_connection_pool_size", server_id="search") == 3
    for status, count in {"success": 2, "tool_error": 1, "error": 0, "rejected": 0}.items():
        labels = {"server_id": "search", "tool_name": "find", "status": status}
        assert await admin.value("mcp_tool_executions_total", **labels) == count
    find = {"server_id": "search", "tool_name": "find"}
    assert await admin.value("mcp_tool_execution_duration_seconds_count", **find) == 3
    assert await admin.value("mcp_tool_response_size_bytes_sum", **find) == 3000
    assert await admin.value("mcp_tool_executions_total", server_id="search", tool_name="other", status="rejected") == 1


async def test_the_breaker_of_a_tool_is_its_worst_and_closed_where_there_is_none(admin: Admin) -> None:
    fill(admin.gateway)
    pool = admin.gateway.metrics.pool("search")
    pool.known_tools = frozenset({"find", "fetch"})
    pool.tool("fetch").error += 5
    pool.breaker_transition("fetch", "closed", "open")
    admin.gateway.pools = [replace(admin.gateway.pools[0], breakers={"fetch": 2})]
    assert await admin.value("mcp_circuit_breaker_state", server_id="search", tool_name="fetch") == 2
    assert await admin.value("mcp_circuit_breaker_state", server_id="search", tool_name="find") == 0
    assert await admin.value("mcp_circuit_breaker_state", server_id="search", tool_name="other") is None
    change = {"server_id": "search", "tool_name": "fetch", "from": "closed", "to": "open"}
    assert await admin.value("mcp_circuit_breaker_transitions_total", **change) == 1


async def test_buckets_are_cumulative_and_end_with_all_values(admin: Admin) -> None:
    fill(admin.gateway)
    name = "mcp_tool_execution_duration_seconds_bucket"
    found = {
        le: await admin.value(name, server_id="search", tool_name="find", le=le)
        for le in ("0.001", "0.05", "10.0", "+Inf")
    }
    assert found == {"0.001": 1, "0.05": 2, "10.0": 2, "+Inf": 3}


async def test_every_endpoint_has_its_series(admin: Admin) -> None:
    fill(admin.gateway)
    key = {"pool": "search", "endpoint": A}
    expected = {
        "available": 1, "draining": 0, "weight": 200, "active_requests": 4, "latency_seconds": 0.012,
        "health_score": 0.75,
        "requests_total": 10, "failures_total": 1, "ejections_total": 1,
    }  # fmt: skip
    for name, value in expected.items():
        assert await admin.value(f"mcppool_endpoint_{name}", **key) == value
    assert await admin.value("mcppool_endpoint_health_checks_total", **key, result="failure") == 2
    assert await admin.value("mcppool_endpoint_health_checks_total", **key, result="success") == 3
    assert await admin.value("mcppool_endpoint_available", pool="search", endpoint=B) == 0
    assert await admin.value("mcppool_endpoint_connections", pool="search", endpoint=B, state="reconnecting") == 1


async def test_pool_listener_and_configuration_are_seen(admin: Admin) -> None:
    fill(admin.gateway)
    assert await admin.value("mcppool_requests_total", pool="search", method="tools/list", outcome="success") == 1
    assert await admin.value("mcppool_retries_total", **{"pool": "search", "class": "network"}) == 1
    assert await admin.value("mcppool_pool_waiting_requests", pool="search") == 1
    assert await admin.value("mcppool_listener_connections") == 2
    assert await admin.value("mcppool_listener_accepted_total") == 3
    assert await admin.value("mcppool_listener_malformed_total", reason="bad_request_line") == 1
    assert await admin.value("mcppool_config_loads_total") == 1
    assert await admin.value("mcppool_config_rejected_total") == 0
    assert await admin.value("mcppool_config_info", hash="sha256:ab") == 1
    assert await admin.value("mcppool_config_generation") == 7
    assert await admin.value("mcppool_config_loaded_timestamp_seconds") == LOADED.timestamp()
    build = {"version": mcppool.__version__, "python": platform.python_version(), "build": BUILD}
    assert await admin.value("mcppool_build_info", **build) == 1
    assert (await admin.value("process_resident_memory_bytes") or 0) > 1e6


async def test_the_series_of_an_endpoint_end_when_it_leaves(admin: Admin) -> None:
    fill(admin.gateway)
    (pool,) = admin.gateway.pools
    admin.gateway.pools = [replace(pool, endpoints=pool.endpoints[:1])]
    endpoints = {dict(labels).get("endpoint") for _, labels in await admin.samples()}
    assert endpoints == {None, A}


async def test_the_series_of_a_pool_end_when_it_leaves(admin: Admin) -> None:
    fill(admin.gateway)
    admin.gateway.pools = []
    admin.gateway.metrics.drop("search")
    assert not [labels for _, labels in await admin.samples() if "search" in dict(labels).values()]


async def test_an_address_that_returns_while_it_still_drains_has_one_set_of_series(admin: Admin) -> None:
    admin.gateway.pools = [
        PoolView("search", (EndpointView(A, True, weight=7), EndpointView(A, False, draining=True, weight=1)))
    ]
    _, text, _ = await admin.request("/metrics")
    assert [line for line in text.splitlines() if line.startswith("mcppool_endpoint_weight{")] == [
        f'mcppool_endpoint_weight{{endpoint="{A}",pool="search"}} 7.0'
    ]


async def test_names_and_help_pass_promtool(admin: Admin) -> None:
    promtool = need_program("promtool", "install the Debian package prometheus")
    fill(admin.gateway)
    _, text, _ = await admin.request("/metrics")
    checked = await asyncio.to_thread(
        subprocess.run,
        [promtool, "check", "metrics"],
        input=text,
        text=True,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


async def test_the_text_equals_that_of_the_librarys_own_writer(admin: Admin) -> None:
    fill(admin.gateway)
    admin.gateway.metrics.refuse('quote " backslash \\ line\nend')
    admin.gateway.metrics.pool("search").tool("find").duration.total = float("inf")
    _, text, headers = await admin.request("/metrics")
    assert headers["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert admin.pages.registry is not None
    ours, theirs = (
        {family.name: family for family in text_string_to_metric_families(written)}
        for written in (text, generate_latest(admin.pages.registry).decode())
    )
    assert ours.keys() == theirs.keys()
    of_the_moment = {name for name in ours if name.startswith("process_") or name == "mcppool_tasks"}
    for name in ours.keys() - of_the_moment:
        assert ours[name] == theirs[name]


async def test_without_a_registry_there_are_no_metrics_and_the_rest_is_served(admin: Admin) -> None:
    admin.pages.registry = None
    status, body = await admin.json("/metrics")
    assert (status, body) == (404, {"error": "metrics are switched off by the configuration"})
    assert (await admin.json("/livez"))[0] == 200
    assert (await admin.json("/health"))[1]["components"]["metrics"]["message"] == "switched off"
