"""The pages of the admin port from outside: a real server on a free port."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

import mcppool
from mcppool.built import BUILD
from mcppool.observe.admin import AdminServer
from mcppool.observe.history.slots import POOL_WIDTH, GatewaySlot, PoolSlot
from mcppool.observe.pages import OwnPages
from mcppool.observe.views import (
    ComponentHealth,
    ConfigView,
    EndpointView,
    PoolView,
    RejectedConfig,
)
from tests.unit.observe.admin_port import LOADED, A, Admin, B

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
            "build": BUILD,
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
