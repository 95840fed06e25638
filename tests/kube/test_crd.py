"""The CRD in a real API server: what it fills in, what it refuses and in which words, what kubectl shows of it."""

from __future__ import annotations

from typing import Any

import pytest

from mcppool.spec import read_resource
from mcppool_operator.resources import POOL
from tests.kube.administrator import Administrator, refused
from tests.kube.control_plane import Cluster

SERVICE_SOURCE = {"type": "Service", "service": {"name": "tools", "port": "http"}}
AUTH = {"inbound": {"type": "None"}}


def pool(admin: Administrator, name: str = "search", **spec: Any) -> dict[str, Any]:
    return admin.here(POOL, name, spec={"source": SERVICE_SOURCE, "auth": AUTH, **spec})


async def create(admin: Administrator, obj: dict[str, Any]) -> None:
    await admin.api.create(POOL, obj)


async def test_defaults_are_filled_in_where_everyone_can_see_them(admin: Administrator) -> None:
    await admin.put(pool(admin))
    spec = (await admin.get(POOL, "search"))["spec"]
    assert spec["gateway"]["replicas"] == 2
    assert spec["source"]["service"]["path"] == "/mcp"
    assert spec["loadBalancer"]["strategy"] == "LeastConnections"
    assert spec["timeouts"]["drain"] == "30s"


async def test_what_the_api_server_has_filled_in_means_what_the_models_mean(admin: Administrator) -> None:
    written = pool(admin)
    await admin.put(written)
    stored = read_resource(await admin.get(POOL, "search"))
    assert stored.pool == read_resource(written).pool
    assert stored.gateway == read_resource(written).gateway


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"source": {"type": "Service"}}, "service must be set if and only if type is Service"),
        (
            {"source": {**SERVICE_SOURCE, "static": {"endpoints": [{"url": "http://a/mcp"}]}}},
            "static must be set if and only if type is Static",
        ),
        (
            {"connectionPool": {"minConnections": 9, "maxConnections": 3}},
            "minConnections must not exceed maxConnections",
        ),
        ({"sessions": {"store": "Redis"}}, "cache.redisURL must be set if sessions.store is Redis"),
        ({"rateLimit": {"store": "Redis"}, "cache": {}}, "cache.redisURL must be set if rateLimit.store is Redis"),
        ({"timeouts": {"request": "soon"}}, "spec.timeouts.request"),
        ({"timeouts": {"request": 5}}, "must be of type string"),
        ({"loadBalancer": {"strategy": "Fibonacci"}}, "Unsupported value"),
        ({"gateway": {"replicas": -1}}, "should be greater than or equal to 0"),
        ({"auth": {}}, "spec.auth.inbound: Required value"),
        ({"source": {"type": "Static", "static": {"endpoints": [{"url": "not a url"}]}}}, "endpoints[0].url"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_words(admin: Administrator, spec: dict[str, Any], words: str) -> None:
    assert words in await refused(create(admin, pool(admin, **spec)))


async def test_a_pools_name_leaves_room_for_those_of_its_children(admin: Administrator) -> None:
    await admin.put(pool(admin, "a" * 50))
    assert "50 characters" in await refused(create(admin, pool(admin, "a" * 51)))


async def test_the_type_of_a_source_stays_what_it_is(admin: Administrator) -> None:
    await admin.put(pool(admin))
    static = {"type": "Static", "static": {"endpoints": [{"url": "http://10.0.0.1/mcp"}]}}
    change = {"spec": {"source": {**static, "service": None}}}
    assert "type cannot be changed" in await refused(admin.merge(POOL, "search", change))


async def test_kubectl_explains_the_fields(kube: Cluster) -> None:
    assert "How many run" in kube.kubectl_says("explain", "mcppool.spec.gateway.replicas")
    assert "Where MCP clients connect" in kube.kubectl_says("explain", "mcppool.status.url")


async def test_kubectl_lists_pools_with_what_matters(admin: Administrator, kube: Cluster) -> None:
    await admin.put(pool(admin))
    heading, line = kube.kubectl_says("get", "mcppool", f"--namespace={admin.namespace}").splitlines()
    assert heading.split()[:5] == ["NAME", "READY", "ENDPOINTS", "GATEWAYS", "URL"]
    assert line.split()[0] == "search"
