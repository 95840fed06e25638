"""`/status.json`, and the document that draws it."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Any

from mcppool.observe.page import make_page
from mcppool.observe.status_json import MAX_BREAKERS, status_body
from mcppool.observe.views import CacheView, ComponentHealth, ConfigView, EndpointView, LossView, PoolView

STARTED = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
A = "http://127.0.0.1:8001/mcp"


def feed(*pools: PoolView) -> dict[str, Any]:
    """The page's data, through JSON as in reality."""
    components = {"cache": ComponentHealth("degraded", "away"), "balancer": ComponentHealth("healthy", "well")}
    body = status_body(pools, components, ConfigView(), {"search": "not yet"}, STARTED)
    found: dict[str, Any] = json.loads(json.dumps(body))
    return found


def test_the_feed_of_a_gateway_without_pools_is_complete() -> None:
    body = feed()
    assert body["pools"] == []
    assert body["startedAt"] == "2026-01-02T03:04:05.000Z"
    assert body["health"]["overall"] == "degraded"
    assert body["config"]["hash"] is None
    assert body["notReady"] == {"search": "not yet"}


def test_the_rate_of_hits_is_known_after_the_first_call() -> None:
    before, after = (
        feed(PoolView("p", cache=CacheView("memory", hits=hits, misses=hits)))["pools"][0] for hits in (0, 3)
    )
    assert before["cache"]["hitRate"] is None
    assert after["cache"]["hitRate"] == 0.5


def test_of_an_endpoint_that_is_out_no_latency_is_shown() -> None:
    well = EndpointView(A, available=True, latency=0.0123456789)
    out = EndpointView(A, available=False, state="ejected", latency=15.0)
    endpoints = feed(PoolView("p", (well, out)))["pools"][0]["endpoints"]
    assert [endpoint["latency"] for endpoint in endpoints] == [0.012346, None]


def test_lost_calls_and_states_have_the_time_since_when_they_are_so() -> None:
    loss = LossView("timeout", STARTED, STARTED, 3, 9, "find", A, "no answer in 5 s")
    endpoint = EndpointView(A, True, since=STARTED, share=0.5, expected_share=0.25)
    (pool,) = feed(PoolView("p", (endpoint,), losses=(loss,)))["pools"]
    assert pool["lost"] == [
        {
            "reason": "timeout", "since": "2026-01-02T03:04:05.000Z", "last": "2026-01-02T03:04:05.000Z", "count": 3,
            "total": 9, "name": "find", "endpoint": A, "detail": "no answer in 5 s",
        }
    ]  # fmt: skip
    shown = pool["endpoints"][0]
    assert (shown["since"], shown["share"], shown["expectedShare"]) == ("2026-01-02T03:04:05.000Z", 0.5, 0.25)


def test_breakers_that_are_not_closed_are_listed_the_open_ones_first_and_not_without_end() -> None:
    first = {"mended": "closed", "tried": "half_open", "broken": "open"}
    many = {f"tool{n}": "half_open" for n in range(1000)}
    lines = feed(PoolView("p", (EndpointView(A, True, breakers=first), EndpointView("b", True, breakers=many))))
    breakers = lines["pools"][0]["breakers"]
    assert breakers[0] == {"tool": "broken", "endpoint": A, "state": "open"}
    assert len(breakers) == MAX_BREAKERS
    assert "mended" not in {line["tool"] for line in breakers}


def test_the_page_runs_only_its_own_script() -> None:
    page = make_page()
    text = page.body.decode()
    policy = page.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    for kind in ("style", "script"):
        (content,) = re.findall(rf"<{kind}>(.*?)</{kind}>", text, re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy


def test_the_page_loads_nothing_from_elsewhere() -> None:
    text = make_page().body.decode()
    assert not re.findall(r"""(?:src|href)=["'](?:https?:)?//|@import|url\(""", text)
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(", text)
