"""The snapshot that the operator publishes follows the servers of the pool."""

from __future__ import annotations

import json

from mcppool_operator.resources import (
    CONFIG_MAP,
    POD,
    POOL,
    SERVICE,
)
from tests.kube.administrator import Administrator
from tests.kube.operator_process import Operator
from tests.kube.pool_objects import CONFIG, endpoints, order, published, url


async def test_endpoints_follow_the_servers_that_are_ready(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    first = await published(admin, "10.1.0.1")
    await admin.server("10.1.0.2")
    second = await published(admin, "10.1.0.1", "10.1.0.2")
    assert order(second) > order(first)
    await admin.merge(
        POD, "tools-10-1-0-1", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}}, "status"
    )
    await published(admin, "10.1.0.2")
    pool = await admin.until(
        POOL, "search", lambda found: found["status"]["endpoints"]["summary"] == "1/2", "one of two is ready"
    )
    (sample,) = pool["status"]["endpoints"]["notReady"]
    assert sample == {"address": url("10.1.0.1"), "reason": "NotReady", "targetName": "tools-10-1-0-1"}


async def test_a_server_that_is_going_is_published_as_draining(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.server("10.1.0.2")
    await admin.pool()
    await published(admin, "10.1.0.1", "10.1.0.2")
    await admin.delete(POD, "tools-10-1-0-1")
    await admin.until(
        CONFIG_MAP,
        CONFIG,
        lambda found: endpoints(found) == {url("10.1.0.1"): True, url("10.1.0.2"): False},
        "the first is draining",
    )


async def test_a_pool_whose_last_server_is_gone_is_published_empty(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    name = await admin.server("10.1.0.1")
    await admin.pool()
    await published(admin, "10.1.0.1")
    await admin.call("DELETE", POD.path(admin.namespace, name), {"gracePeriodSeconds": 0})
    await published(admin)
    await admin.pool_says("EndpointsAvailable", "False", "NoEndpoints")
    await admin.server("10.1.0.2")
    await published(admin, "10.1.0.2")


async def test_a_service_that_is_gone_takes_no_endpoint_away(operator: Operator, admin: Administrator) -> None:
    await admin.pool()
    assert "tools" in await admin.pool_says("ResolvedRefs", "False", "ServiceNotFound")
    assert await admin.get(CONFIG_MAP, CONFIG) is None
    await admin.service()
    await admin.server("10.1.0.1")
    before = await published(admin, "10.1.0.1")
    await admin.pool_says("ResolvedRefs", "True", "ResolvedRefs")
    await admin.delete(SERVICE, "tools")
    message = await admin.pool_says("ResolvedRefs", "False", "ServiceNotFound")
    assert message == 'Service "tools" does not exist'
    assert await admin.get(CONFIG_MAP, CONFIG) == before
    # The pool's own fields still change.
    await admin.pool(timeouts={"request": "7s"})
    after = await admin.until(CONFIG_MAP, CONFIG, lambda found: found != before, "the new time-out is published")
    assert endpoints(after) == endpoints(before)
    assert json.loads(after["data"]["snapshot.json"])["pools"][0]["timeouts"]["request"] == "7s"


async def test_a_port_that_the_service_does_not_have_is_named(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.pool(source={"type": "Service", "service": {"name": "tools", "port": "grpc"}})
    message = await admin.pool_says("ResolvedRefs", "False", "PortNotFound")
    assert message == 'Service "tools" has no port named "grpc"; it has: http'


async def test_static_addresses_are_published_with_their_settings(operator: Operator, admin: Administrator) -> None:
    listed = [{"url": "http://10.9.0.1:8000/mcp", "weight": 50, "zone": "a"}, {"url": "http://10.9.0.2:8000/mcp"}]
    await admin.pool(source={"type": "Static", "static": {"endpoints": listed}})
    found = await admin.until(CONFIG_MAP, CONFIG, bool, "the snapshot is there")
    (pool,) = json.loads(found["data"]["snapshot.json"])["pools"]
    assert [(entry["url"], entry["weight"], entry["zone"]) for entry in pool["endpoints"]] == [
        ("http://10.9.0.1:8000/mcp", 50, "a"),
        ("http://10.9.0.2:8000/mcp", 100, None),
    ]


async def test_servers_that_are_called_not_ready_one_after_the_other_are_all_published_in_the_end(
    operator: Operator, admin: Administrator
) -> None:
    await admin.service()
    pods = [await admin.server("10.1.0.1"), await admin.server("10.1.0.2")]
    await admin.pool()
    await published(admin, "10.1.0.1", "10.1.0.2")
    # As the node controller does if it has not heard from the nodes for a while.
    unready = {"type": "Ready", "status": "False", "lastTransitionTime": "2026-01-01T00:00:00Z"}
    await admin.merge(POD, pods[0], {"status": {"conditions": [unready]}}, "status")
    await published(admin, "10.1.0.2")
    await admin.merge(POD, pods[1], {"status": {"conditions": [unready]}}, "status")
    await admin.pool_says("EndpointsAvailable", "False", "NoReadyEndpoints")
    await published(admin, "10.1.0.1", "10.1.0.2")
    await admin.become_ready(pods[1], "10.1.0.2")
    await published(admin, "10.1.0.2")
