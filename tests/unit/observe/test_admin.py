"""The admin port from outside: a real server on a free port, its metrics read by Prometheus' own parsers."""

from __future__ import annotations

import asyncio
import json
import platform
import ssl
import subprocess
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

import mcppool
from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.http.tls import Certificate, admin_tls
from mcppool.observe import collector
from mcppool.observe.admin import AdminServer
from mcppool.observe.admin_access import AdminAccess
from mcppool.observe.bearer_token import BearerToken
from mcppool.observe.history.history import History
from mcppool.observe.history.slots import POOL_WIDTH, GatewaySlot, PoolSlot
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.pages import OwnPages
from mcppool.observe.views import (
    ComponentHealth,
    ConfigChangeView,
    ConfigView,
    EndpointView,
    PoolView,
    RejectedConfig,
    SettingView,
)
from mcppool.spec.sections.process import ListenerTlsSpec
from tests.certificates import make_server_certificate
from tests.requirements import need_program

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


@pytest.fixture
async def admin() -> AsyncIterator[Admin]:
    gateway = Gateway()
    registry = collector.registry(gateway.metrics, lambda: gateway.pools, gateway.config)
    pages = OwnPages(gateway, registry)
    server = AdminServer("127.0.0.1", 0, pages)
    await server.start()
    async with aiohttp.ClientSession() as session:
        yield Admin(gateway, server, session, pages)
    await server.stop()


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
    build = {"version": mcppool.__version__, "python": platform.python_version()}
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


SERVERS = {"search": "2 of 2 servers answer"}


async def test_ready_names_the_pools_that_are_not(admin: Admin) -> None:
    assert await admin.json("/readyz") == (200, {"ready": True, "notReady": {}, "servers": SERVERS})
    admin.gateway.waiting = {"search": "no catalog yet"}
    assert await admin.json("/readyz") == (
        503,
        {"ready": False, "notReady": {"search": "no catalog yet"}, "servers": SERVERS},
    )


async def test_health_tells_of_every_component_and_the_whole(admin: Admin) -> None:
    status, body = await admin.json("/health")
    assert (status, body["overall"]) == (200, "healthy")
    assert set(body["components"]) == {"balancer", "metrics"}
    assert body["components"]["balancer"] == {"status": "healthy", "message": "2 of 2 endpoints available"}


async def test_the_whole_is_as_its_worst_part_and_only_unhealthy_is_a_failure(admin: Admin) -> None:
    admin.gateway.components["configuration"] = ComponentHealth("degraded", "the newest was refused")
    status, body = await admin.json("/health")
    assert (status, body["overall"]) == (200, "degraded")
    admin.gateway.components["connection_pool"] = ComponentHealth("unhealthy", "no server is configured")
    status, body = await admin.json("/health")
    assert (status, body["overall"]) == (503, "unhealthy")
    assert (await admin.json("/livez"))[0] == 200
    assert (await admin.request("/metrics"))[0] == 200


async def test_the_configuration_in_force_and_the_refused_one_are_shown(admin: Admin) -> None:
    assert await admin.json("/configz?settings=none") == (
        200,
        {
            "hash": "sha256:ab",
            "generation": 7,
            "term": 2,
            "loadedAt": "2026-01-02T03:04:05.678Z",
            "keyIds": ["20260102-ab"],
            "rejected": None,
            "version": mcppool.__version__,
        },
    )
    refused = RejectedConfig(("pools.toml:7: wrong",), LOADED)
    admin.gateway.view = replace(admin.gateway.view, rejected=refused)
    _, body = await admin.json("/configz")
    assert body["rejected"] == {"hash": None, "problems": ["pools.toml:7: wrong"], "at": "2026-01-02T03:04:05.678Z"}


async def test_the_settings_are_shown_unless_the_rest_is_wanted_alone(admin: Admin) -> None:
    _, body = await admin.json("/configz")
    assert body["process"] == {"listener.listen": {"value": "127.0.0.1:8080", "origin": "default"}}
    _, body = await admin.json("/configz?settings=none")
    assert "hash" in body
    assert not body.keys() & {"process", "pools"}


async def test_before_the_first_configuration_there_is_nothing_to_show(admin: Admin) -> None:
    admin.gateway.view = ConfigView()
    _, body = await admin.json("/configz")
    assert (body["hash"], body["loadedAt"]) == (None, None)
    assert await admin.value("mcppool_config_generation") is None


async def test_the_page_and_its_feed_are_served(admin: Admin) -> None:
    status, text, headers = await admin.request("/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert text.startswith("<!doctype html>")
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
    status, body = await admin.json("/status.json")
    assert status == 200
    assert [endpoint["url"] for endpoint in body["pools"][0]["endpoints"]] == [A, B]
    assert body["health"] == (await admin.json("/health"))[1]
    for path in ("/", "/status.json"):
        assert (await admin.request(path, "POST"))[0] == 405
        assert (await admin.request(path, "HEAD"))[:2] == (200, "")


async def test_the_history_is_served_whole_or_in_part(admin: Admin) -> None:
    assert (await admin.json("/history.json"))[1]["newest"] is None
    for number in (100, 101):
        admin.gateway.history.add(GatewaySlot(number, 10.0, {"search": PoolSlot([1] * POOL_WIDTH, {}, {})}))
    status, whole = await admin.json("/history.json")
    assert (status, whole["newest"], whole["pools"][0]["series"]["calls"][-3:]) == (200, 101, [0, 1, 1])
    (change,) = whole["configurations"]
    assert (change["at"], change["generation"]) == ("2026-01-02T03:04:05.678Z", 7)
    assert change["settings"] == [{"path": "a.b", "before": "1", "after": None}]
    _, part = await admin.json("/history.json?after=100")
    assert (part["first"], part["pools"][0]["series"]["calls"]) == (101, [1])
    _, sums = await admin.json("/history.json?series=none")
    assert (sums["pools"][0]["series"]["calls"], sums["pools"][0]["summary"]["calls"]) == ([], 2)


@pytest.mark.parametrize(
    "query", ["after=", "after=-1", "after=x", "after=1e3", "after=\u0661", "after=" + "1" * 99, "series=some"]
)
async def test_a_question_about_the_history_that_makes_no_sense_is_refused(admin: Admin, query: str) -> None:
    status, body = await admin.json(f"/history.json?{query}")
    assert status == 400
    assert query.partition("=")[0] in body["error"]


async def test_the_feed_of_an_unhealthy_gateway_is_still_given(admin: Admin) -> None:
    admin.gateway.components["balancer"] = ComponentHealth("unhealthy", "no pool is configured")
    admin.gateway.pools = []
    status, body = await admin.json("/status.json")
    assert (status, body["health"]["overall"], body["pools"]) == (200, "unhealthy", [])


async def test_only_reading_is_possible_and_every_refusal_is_json(admin: Admin) -> None:
    assert (await admin.json("/nowhere"))[0] == 404
    status, _, headers = await admin.request("/livez", "POST")
    assert status == 405
    assert set(headers["Allow"].split(",")) == {"GET", "HEAD"}
    assert headers["Content-Type"].startswith("application/json")
    assert (await admin.request("/livez", "HEAD"))[:2] == (200, "")


async def test_a_failing_view_is_reported_without_its_details(admin: Admin) -> None:
    admin.gateway.pools = None  # type: ignore[assignment]  # so that it raises
    status, body = await admin.json("/metrics")
    assert (status, body) == (500, {"error": "internal error; see the log"})
    admin.gateway.pools = [PoolView("search", (EndpointView(A, available=True),))]
    assert (await admin.json("/health"))[1]["components"]["metrics"]["status"] == "unhealthy"
    assert (await admin.request("/metrics"))[0] == 200
    assert (await admin.json("/health"))[1]["overall"] == "healthy"


async def test_a_loop_that_is_late_is_not_alive(admin: Admin, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mcppool.observe.admin.LAG_LIMIT", 0.1)
    time.sleep(0.8)  # noqa: ASYNC251 (a loop that is blocked is what this is about)
    status, body = await admin.json("/livez")
    assert (status, body["alive"]) == (503, False)


async def test_a_port_that_is_taken_is_an_error_that_leaves_nothing_behind(admin: Admin) -> None:
    second = AdminServer("127.0.0.1", admin.server.port, OwnPages(admin.gateway))
    with pytest.raises(OSError, match="address already in use"):
        await second.start()


PAGES = ("/", "/status.json", "/history.json", "/health", "/configz", "/load", "/metrics")


async def pages_behind(door: AdminAccess, **headers: str) -> dict[str, int]:
    gateway = Gateway()
    server = AdminServer("127.0.0.1", 0, OwnPages(gateway), door=door)
    await server.start()
    try:
        async with aiohttp.ClientSession() as session:
            admin = Admin(gateway, server, session)
            return {path: (await admin.request(path, **headers))[0] for path in (*PAGES, "/livez", "/readyz")}
    finally:
        await server.stop()


async def test_pages_are_served_to_names_that_are_ours_and_probes_to_all() -> None:
    names = AllowedHosts("127.0.0.1", ("admin.example",), ())
    for host in ("127.0.0.1:9090", "admin.example"):
        assert 421 not in (await pages_behind(AdminAccess(names.host_allowed), Host=host)).values()
    rebound = await pages_behind(AdminAccess(names.host_allowed), Host="evil.example")
    assert rebound == {**dict.fromkeys(PAGES, 421), "/livez": 200, "/readyz": 200}


async def test_with_a_token_everything_but_probes_asks_for_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first-token-0123456789\n")
    door = AdminAccess(token=BearerToken(str(file)))
    refused = {**dict.fromkeys(PAGES, 401), "/livez": 200, "/readyz": 200}
    wrong = ({}, {"Authorization": "Bearer another-token-0123456"}, {"Authorization": "Basic first-token-0123456789"})
    for headers in wrong:
        assert await pages_behind(door, **headers) == refused
    right = {"Authorization": "bearer first-token-0123456789"}
    assert 401 not in (await pages_behind(door, **right)).values()
    file.write_text("second-token-0123456789")
    assert await pages_behind(door, **right) == refused, "the token was renewed"
    file.unlink()
    assert 401 not in (await pages_behind(door, Authorization="Bearer second-token-0123456789")).values()


async def test_with_an_authority_of_clients_everything_but_probes_asks_for_a_certificate(tmp_path: Path) -> None:
    own, friend = make_server_certificate(tmp_path / "own"), make_server_certificate(tmp_path / "friend", "friends")
    spec = ListenerTlsSpec(certificate_file=str(own.certificate), key_file=str(own.key), client_ca_file=str(friend.ca))
    server = AdminServer("127.0.0.1", 0, OwnPages(Gateway()), door=AdminAccess(certificate=True))
    await server.start(Certificate(admin_tls(spec), "metrics.tls").context)
    trust = ssl.create_default_context(cafile=str(own.ca))
    root = f"https://127.0.0.1:{server.port}"
    try:
        async with aiohttp.ClientSession() as session:
            statuses: dict[str, int] = {}
            for path in (*PAGES, "/livez", "/readyz"):
                async with session.get(root + path, ssl=trust) as response:
                    statuses[path] = response.status
            assert statuses == {**dict.fromkeys(PAGES, 403), "/livez": 200, "/readyz": 200}
        trust.load_cert_chain(friend.certificate, friend.key)
        async with aiohttp.ClientSession() as session:
            async with session.get(root + "/configz", ssl=trust) as response:
                assert response.status == 200
            async with session.get(root + "/readyz", ssl=trust) as response:
                assert "servers" in await response.json()
    finally:
        await server.stop()


TOKEN = "first-token-0123456789"
SHOWN = f"Authorization: Bearer {TOKEN}\r\n"
OURS = "Host: 127.0.0.1\r\n"


async def bytes_sent(server: AdminServer, line: str, headers: str) -> tuple[int, str]:
    """Status and body of the answer to a request that no client library would send."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(f"{line}\r\n{headers}Connection: close\r\n\r\n".encode("latin-1"))
    head, _, body = (await asyncio.wait_for(reader.read(), 30)).decode().partition("\r\n\r\n")
    writer.close()
    return int(head.split(" ")[1]), body


@pytest.fixture
async def guarded(tmp_path: Path) -> AsyncIterator[AdminServer]:
    """An admin port that asks for a token, and serves loopback names."""
    (tmp_path / "token").write_text(TOKEN)
    gateway = Gateway()
    gateway.waiting = {"search": "no server answers: http://10.1.2.3:8000/mcp"}
    door = AdminAccess(AllowedHosts("127.0.0.1", (), ()).host_allowed, BearerToken(str(tmp_path / "token")))
    server = AdminServer("127.0.0.1", 0, OwnPages(gateway), door=door)
    await server.start()
    yield server
    await server.stop()


@pytest.mark.parametrize("path", [*PAGES, "/nothing", "/%6detrics", "/livez/../metrics", "//livez/metrics", "*"])
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS", "POST", "CONNECT", "TRACE"])
async def test_no_path_and_no_method_goes_round_the_token(guarded: AdminServer, method: str, path: str) -> None:
    assert (await bytes_sent(guarded, f"{method} {path} HTTP/1.1", OURS))[0] in (400, 401)


@pytest.mark.parametrize(
    "headers",
    [
        "Authorization: Bearer \xff\xfe\r\n",
        "Authorization: \xff\xfe\r\n",
        f"Authorization: Basic {TOKEN}\r\n",
        f"Authorization: {TOKEN}\r\n",
        f"Authorization: Bearer\t{TOKEN}\r\n",
        f"Authorization: Bearer {TOKEN[:-1]}\r\n",
        f"Authorization: Bearer {TOKEN}x\r\n",
        f"Authorization: Bearer {TOKEN.upper()}\r\n",
        f"Authorization: Bearer {TOKEN}, Bearer {TOKEN}\r\n",
        "Authorization: Bearer \r\n",
        f"{SHOWN}Authorization: Bearer x\r\n",
        f"Authorization: Bearer x\r\n{SHOWN}",
        f"X-{SHOWN}",
    ],
)
async def test_only_the_token_itself_shown_once_opens_the_door(guarded: AdminServer, headers: str) -> None:
    assert (await bytes_sent(guarded, "GET /configz HTTP/1.1", OURS + headers))[0] == 401
    assert (await bytes_sent(guarded, "GET /configz HTTP/1.1", OURS + SHOWN))[0] == 200


@pytest.mark.parametrize(
    ("version", "host", "status"),
    [
        ("1.1", "evil.example", 421), ("1.1", "\xff\xfe", 421), ("1.1", "evil@127.0.0.1", 421),
        ("1.1", "localhost.evil.example", 421), ("1.1", "127.1", 421), ("1.1", "127.0.0.1:9090", 200),
        ("1.1", "[::1]", 200), ("1.1", "127.0.0.1\r\nHost: evil.example", 400), ("1.0", None, 421), ("1.1", None, 400),
    ],
)  # fmt: skip
async def test_a_host_that_is_not_ours_is_refused_however_it_is_written(
    guarded: AdminServer, version: str, host: str | None, status: int
) -> None:
    line = "" if host is None else f"Host: {host}\r\n"
    for target in ("/configz", "http://127.0.0.1/configz"):
        assert (await bytes_sent(guarded, f"GET {target} HTTP/{version}", line + SHOWN))[0] == status


@pytest.mark.parametrize("headers", [OURS, f"Host: evil.example\r\n{SHOWN}", f"{OURS}Authorization: Bearer x\r\n"])
async def test_a_stranger_learns_from_a_probe_its_status_alone(guarded: AdminServer, headers: str) -> None:
    status, body = await bytes_sent(guarded, "GET /readyz HTTP/1.1", headers)
    assert (status, json.loads(body)) == (503, {"ready": False})
    status, body = await bytes_sent(guarded, "GET /readyz HTTP/1.1", OURS + SHOWN)
    assert (status, list(json.loads(body)["notReady"])) == (503, ["search"])


@pytest.mark.parametrize("text", ["", "short", "two words of a token", "x" * 5000, "umlaut-äöü-0123456789"])
def test_a_file_that_holds_no_token_is_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / "token").write_text(text)
    with pytest.raises(ValueError, match="a token is"):
        BearerToken(str(tmp_path / "token"))


@pytest.mark.parametrize("request_line", [b"GET \0 HTTP/1.1", b"GET / HTTP/9.9", b"GET /" + b"x" * 9000 + b" HTTP/1.1"])
async def test_a_malformed_request_is_answered_and_writes_no_line(
    admin: Admin, request_line: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", admin.server.port)
    writer.write(request_line + b"\r\nHost: 127.0.0.1\r\n\r\n")
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


@pytest.mark.parametrize("token", [b"\xff\xfe", "é".encode(), b"\xed\xa0\x80", b"", b" "])
async def test_a_token_that_is_no_text_is_refused_like_any_other(tmp_path: Path, token: bytes) -> None:
    file = tmp_path / "token"
    file.write_text("first-token-0123456789\n")
    server = AdminServer("127.0.0.1", 0, OwnPages(Gateway()), door=AdminAccess(token=BearerToken(str(file))))
    await server.start()
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(
        b"GET /health HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer " + token + b"\r\nConnection: close\r\n\r\n"
    )
    answer = await asyncio.wait_for(reader.read(), 30)
    writer.close()
    await server.stop()
    assert answer.startswith(b"HTTP/1.1 401")
