"""An admin port whose gateway is made up by the test."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from mcppool.observe.admin import AdminServer
from mcppool.observe.history.history import History
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.pages import OwnPages
from mcppool.observe.views import (
    ComponentHealth,
    ConfigChangeView,
    ConfigView,
    EndpointView,
    PoolView,
    SettingView,
)

A, B = "http://127.0.0.1:8001/mcp", "http://127.0.0.1:8002/mcp"
LOADED = datetime(2026, 1, 2, 3, 4, 5, 678000, tzinfo=UTC)


class Gateway:
    """Stands for the gateway: the test sets its answers."""

    def __init__(self) -> None:
        self.metrics = GatewayMetrics()
        self.pools: list[PoolView] = [
            PoolView("search", (EndpointView(A, available=True), EndpointView(B, available=True)))
        ]
        self.waiting: dict[str, str] = {}
        self.history = History()
        self.components = {"balancer": ComponentHealth("healthy", "2 of 2 endpoints available")}
        self.view = ConfigView(hash="sha256:ab", generation=7, term=2, loaded_at=LOADED, key_ids=("20260102-ab",))

    def ready(self) -> Mapping[str, str]:
        return self.waiting

    def answering(self) -> Mapping[str, str]:
        return {"search": "2 of 2 servers answer"}

    def public_keys(self) -> Sequence[Mapping[str, str]]:
        return ()

    def health(self) -> Mapping[str, ComponentHealth]:
        return self.components

    def config(self) -> ConfigView:
        return self.view

    def zone(self) -> str | None:
        return "here"

    def config_changes(self) -> list[ConfigChangeView]:
        return [ConfigChangeView(LOADED, "sha256:ab", 7, (SettingView("a.b", "1", None),))]

    def settings(self) -> dict[str, object]:
        return {"process": {"listener.listen": {"value": "127.0.0.1:8080", "origin": "default"}}, "pools": {}}

    def workload(self) -> dict[str, Any]:
        return {}

    def pool_views(self) -> list[PoolView]:
        return self.pools


class Admin:
    """A served gateway and a client of its admin port."""

    def __init__(
        self, gateway: Gateway, server: AdminServer, session: aiohttp.ClientSession, pages: OwnPages | None = None
    ) -> None:
        self.gateway = gateway
        self.server = server
        self.pages = pages or OwnPages(gateway)
        self._session = session

    async def request(self, path: str, method: str = "GET", **headers: str) -> tuple[int, str, Mapping[str, str]]:
        url = f"http://127.0.0.1:{self.server.port}{path}"
        async with self._session.request(method, url, headers=headers) as response:
            return response.status, await response.text(), response.headers

    async def json(self, path: str, method: str = "GET") -> tuple[int, Any]:
        status, text, headers = await self.request(path, method)
        assert headers["Content-Type"].startswith("application/json")
        return status, json.loads(text)

    async def samples(self) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
        _, text, _ = await self.request("/metrics")
        return {
            (sample.name, frozenset(sample.labels.items())): sample.value
            for family in text_string_to_metric_families(text)
            for sample in family.samples
        }

    async def value(self, name: str, **labels: str) -> float | None:
        return (await self.samples()).get((name, frozenset(labels.items())))


def fill(gateway: Gateway) -> None:
    """Give every family at least one series."""
    pool = gateway.metrics.pool("search")
    pool.known_tools = frozenset({"find"})
    stats = pool.tool("find")
    stats.success += 2
    stats.tool_error += 1
    for seconds in (0.0005, 0.03, 20.0):
        stats.duration.observe(seconds)
        stats.size.observe(1000)
    pool.tool("unheard-of").rejected += 1
    pool.connections["connecting"] += 1
    pool.connections["connected"] += 1
    pool.connection_duration.observe(0.002)
    pool.request("tools/list", "success")
    pool.retry("network")
    pool.breaker_transition("find", "closed", "open")
    gateway.metrics.refuse("bad_request_line")
    gateway.metrics.listener_opened = 3
    gateway.metrics.listener_closed = 1
    gateway.metrics.config_loads = 1
    gateway.pools = [
        PoolView(
            "search",
            (
                EndpointView(
                    A, available=True, weight=200, active_requests=4, latency=0.012, score=0.75,
                    connections={"connected": 2}, requests=10, failures=1, ejections=1,
                    health_checks=5, health_check_failures=2,
                ),
                EndpointView(B, available=False, reason="refused", connections={"connected": 1, "reconnecting": 1}),
            ),
            waiting=1,
            sessions=2,
            catalog_tools=1,
        )
    ]  # fmt: skip
