"""A real Prometheus scrapes a real gateway and a real operator: alerts fire with their fault and end with it, and
dashboards show something. `tests/chart/test_alerts.py` has the alerts' times."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from mcppool_operator.resources import DISRUPTION_BUDGET, POOL
from tests.kube.administrator import Administrator
from tests.kube.conftest import operators
from tests.kube.control_plane import Cluster
from tests.servers import Gateway, modern_call
from tests.servers.faults import Exchange, FaultServer, delayed, healthy, status
from tests.servers.process import HOST, free_port, serving
from tests.servers.prometheus import Prometheus, dashboard_queries, quick_alerts
from tests.waiting import until

PATIENCE = 180.0

ONLY_IN_RULE_TESTS = {"McpOperatorErrors"}
"""Needs an API server that fails again and again; promtool's tests have it."""

OF_THE_GATEWAY = {
    "McpEndpointOut",
    "McpPoolErrors",
    "McpBreakerOpen",
    "McpPoolSaturated",
    "McpGatewayRejectsConfiguration",
    "McpGatewayMemory",
}
OF_THE_OPERATOR = {"McpPoolNotReady", "McpPoolDegraded", "McpOperatorWithoutLeader"}


POOLS = """
[[pools]]
name = "search"
endpoints = ["{one}", "{two}"]
[pools.circuit_breaker]
failure_threshold = 3
open_duration = "4s"
success_threshold = 1
[pools.outlier_detection]
consecutive_failures = 1000
[pools.cache]
type = "memory"
[pools.tools.cached]
idempotent = true
cache_ttl = "1h"
[[pools]]
name = "bad"
endpoints = ["{one}"]
[pools.circuit_breaker]
failure_threshold = 1000
[pools.outlier_detection]
consecutive_failures = 1000
[[pools]]
name = "slow"
endpoints = ["{slow}"]
[pools.connection_pool]
max_connections = 1
min_connections = 1
"""

TIGHT = """
[limits]
memory = "64MiB"
[[pools]]
name = "tight"
endpoints = ["{one}"]
"""


async def calls(gateway: Gateway, pool: str, tool: str, stop: asyncio.Event) -> None:
    """Call a tool again and again, whatever the result."""
    headers, body = modern_call(tool)
    url = f"http://{HOST}:{gateway.port}/{pool}/mcp"
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(120)) as http:
        while not stop.is_set():
            async with http.post(url, data=body, headers=headers) as answer:
                await answer.read()
            await asyncio.sleep(0.02)


@asynccontextmanager
async def called(gateway: Gateway, *what: tuple[str, str]) -> AsyncIterator[None]:
    """Calls of pools and tools that go on during the block."""
    stop = asyncio.Event()
    tasks = [asyncio.create_task(calls(gateway, pool, tool, stop)) for pool, tool in what]
    try:
        yield
    finally:
        stop.set()
        await asyncio.gather(*tasks)


def tool(name: str, *, reads: bool = False) -> dict[str, Any]:
    return {"name": name, "inputSchema": {"type": "object"}, "annotations": {"readOnlyHint": reads}}


FAILS = status("500 Internal Server Error", executes=True)
BUSY = status("503 Service Unavailable")


async def faulty(exchange: Exchange) -> None:
    """Fail at writes, and be too busy for one read in ten."""
    behaviour = FAILS if exchange.tool == "write" else healthy
    if exchange.tool == "read" and len(exchange.server.calls("read")) % 10 == 0:
        behaviour = BUSY
    await behaviour(exchange)


async def test_every_alert_fires_with_its_fault_and_ends_with_it_and_every_dashboard_shows_something(
    installed: Cluster, admin: Administrator, tmp_path: Path
) -> None:
    port = free_port()
    # One namespace: leftovers of other tests in the cluster raise no alert here.
    arguments = (f"--metrics-port={port}", f"--namespace={admin.namespace}")
    tools = [tool("read", reads=True), tool("write"), tool("cached", reads=True)]
    one, slow = FaultServer(tools=tools), FaultServer(delayed(1.0), name="slow")
    async with one, slow:
        async with FaultServer(tools=tools) as two:
            addresses = {"one": one.url, "two": two.url, "slow": slow.url}
            gateway = Gateway(tmp_path, POOLS.format(**addresses))
            tight = Gateway(tmp_path, TIGHT.format(**addresses), name="tight")
            labels = {"namespace": "team-a", "pod": "gateway-1"}
            prometheus = Prometheus(
                tmp_path,
                {
                    "gateway": (f"{HOST}:{gateway.admin_port}", labels),
                    "tight": (f"{HOST}:{tight.admin_port}", {**labels, "pod": "gateway-2"}),
                    "operator": (f"{HOST}:{port}", {"namespace": "mcppool-system", "pod": "operator-1"}),
                },
            )
            stack = serving(gateway, prometheus)
            await asyncio.to_thread(stack.__enter__)
        # The second server is gone from here on.
        try:
            await _faults(installed, admin, prometheus, gateway, tight, one, arguments)
            async with FaultServer(tools=tools, port=two.port):
                await _mended(installed, admin, prometheus, gateway, addresses, arguments)
        finally:
            stack.__exit__(None, None, None)


async def _faults(
    installed: Cluster,
    admin: Administrator,
    prometheus: Prometheus,
    gateway: Gateway,
    tight: Gateway,
    one: FaultServer,
    arguments: tuple[str, ...],
) -> None:
    one.behaviour = faulty
    await admin.put(admin.here(DISRUPTION_BUDGET, "search-mcp-gateway", spec={"maxUnavailable": 1}))
    await admin.pool(source={"type": "Service", "service": {"name": "missing", "port": 1}})
    busy = [("search", "read"), ("search", "write"), ("search", "cached"), ("bad", "write"), *[("slow", "read")] * 4]
    with serving(tight):
        async with operators(installed, "watched", arguments=arguments), called(gateway, *busy):
            await _firing(prometheus, OF_THE_GATEWAY - {"McpGatewayRejectsConfiguration"})
            await _firing(prometheus, OF_THE_OPERATOR - {"McpOperatorWithoutLeader"})
            for panel, query in dashboard_queries():
                await until(lambda query=query: prometheus.query(query), f"{panel} shows something: {query}", PATIENCE)
        gateway.edit("no configuration")
        await _firing(prometheus, {"McpGatewayRejectsConfiguration", "McpOperatorWithoutLeader"})
    one.behaviour = healthy


async def _mended(
    installed: Cluster,
    admin: Administrator,
    prometheus: Prometheus,
    gateway: Gateway,
    addresses: dict[str, str],
    arguments: tuple[str, ...],
) -> None:
    gateway.edit(POOLS.format(**addresses))
    async with (
        operators(installed, "watched-again", arguments=arguments),
        called(gateway, ("search", "read"), ("search", "write"), ("bad", "write")),
    ):
        await _firing(prometheus, {"McpPoolNotReady", "McpPoolDegraded"})
        await admin.delete(DISRUPTION_BUDGET, "search-mcp-gateway")
        await _silent(prometheus, {"McpPoolDegraded"})
        await _firing(prometheus, {"McpPoolNotReady"})
        await admin.delete(POOL, "search")
        await _silent(prometheus)


async def _firing(prometheus: Prometheus, alerts: set[str]) -> None:
    """Wait until each of these has fired; where a breaker tries a call, or a scrape is late, one may pause."""
    deadline, missing = time.monotonic() + PATIENCE, alerts
    while missing := missing - prometheus.firing():
        assert time.monotonic() < deadline, f"not firing: {missing}"
        await asyncio.sleep(0.1)


async def _silent(prometheus: Prometheus, alerts: set[str] | None = None) -> None:
    """Wait until none of these fires; None: no alert at all."""
    deadline = time.monotonic() + PATIENCE
    while still := [alert for alert in prometheus.alerts() if alerts is None or alert["alertname"] in alerts]:
        assert time.monotonic() < deadline, f"still firing: {still}"
        await asyncio.sleep(0.1)


def test_every_alert_is_in_one_of_these_tests() -> None:
    shipped = {rule["alert"] for group in quick_alerts()["groups"] for rule in group["rules"]}
    assert shipped == OF_THE_GATEWAY | OF_THE_OPERATOR | ONLY_IN_RULE_TESTS
