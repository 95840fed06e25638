"""Objects of the names that a pool needs, which belong to others: they are named and left alone, or adopted."""

from __future__ import annotations

from mcppool_operator.resources import (
    CONFIG_MAP,
    DEPLOYMENT,
    POOL,
    SECRET,
    SERVICE,
)
from tests.kube.administrator import Administrator, conditions
from tests.kube.operator_process import Operator
from tests.kube.pool_objects import CHILDREN, CONFIG, GATEWAY, KEYS


async def test_an_object_that_nobody_controls_is_adopted_where_its_annotation_asks_for_it(
    operator: Operator, admin: Administrator
) -> None:
    ports = {"ports": [{"name": "old", "port": 1}]}
    await admin.put(admin.here(SERVICE, GATEWAY, spec=ports))
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    await admin.pool_says("Programmed", "False", "NameConflict")
    await admin.merge(SERVICE, GATEWAY, {"metadata": {"annotations": {"mcppool.dev/adopt": "other"}}})
    orphan = await admin.get(SERVICE, GATEWAY)
    await admin.merge(SERVICE, GATEWAY, {"metadata": {"annotations": {"mcppool.dev/adopt": "search"}}})
    adopted = await admin.until(
        SERVICE, GATEWAY, lambda found: found["metadata"].get("ownerReferences"), "it belongs to the pool"
    )
    assert adopted["metadata"]["uid"] == orphan["metadata"]["uid"]
    assert {port["name"] for port in adopted["spec"]["ports"]} >= {"http"}
    await admin.until(POOL, "search", lambda found: "NameConflict" not in str(conditions(found)), "no conflict is left")


async def test_an_object_that_is_not_the_pools_is_left_alone_and_named(
    operator: Operator, admin: Administrator
) -> None:
    theirs = admin.here(SECRET, KEYS, stringData={"keys": "theirs"})
    await admin.put(theirs, admin.here(SERVICE, GATEWAY, spec={"ports": [{"port": 1}]}))
    before = [await admin.get(SECRET, KEYS), await admin.get(SERVICE, GATEWAY)]
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    message = await admin.pool_says("Programmed", "False", "NameConflict")
    assert KEYS in message
    await admin.event("Warning", "NameConflict")
    assert [await admin.get(SECRET, KEYS), await admin.get(SERVICE, GATEWAY)] == before
    assert await admin.get(DEPLOYMENT, GATEWAY) is None, "its pods would have mounted somebody else's Secret"
    # Out of the way, the pool gets its own.
    await admin.delete(SECRET, KEYS)
    await admin.delete(SERVICE, GATEWAY)
    await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
    await admin.delete(POOL, "search")


async def test_a_foreign_config_map_is_neither_read_nor_written(operator: Operator, admin: Administrator) -> None:
    theirs = {"snapshot.json": '{"apiVersion":"mcppool.dev/snapshot/v1","term":77777}'}
    await admin.put(admin.here(CONFIG_MAP, CONFIG, data=theirs))
    await admin.service()
    await admin.pool()
    await admin.pool_says("Ready", "False", "NoEndpoints")
    assert (await admin.pool_says("Programmed", "False", "NameConflict")).startswith(f'ConfigMap "{CONFIG}"')
    assert (await admin.get(CONFIG_MAP, CONFIG))["data"] == theirs


async def test_a_foreign_deployment_is_not_counted_as_gateways(operator: Operator, admin: Administrator) -> None:
    pod = {
        "metadata": {"labels": {"app": "theirs"}},
        "spec": {"containers": [{"name": "c", "image": "example.com/c:1"}]},
    }
    spec = {"replicas": 3, "selector": {"matchLabels": {"app": "theirs"}}, "template": pod}
    await admin.put(admin.here(DEPLOYMENT, GATEWAY, spec=spec))
    await admin.until(DEPLOYMENT, GATEWAY, lambda found: found["status"].get("replicas") == 3, "theirs has three pods")
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    await admin.pool_says("Programmed", "False", "NameConflict")
    assert (await admin.get(POOL, "search"))["status"]["gateway"]["replicas"] == 0
    assert (await admin.get(DEPLOYMENT, GATEWAY))["spec"]["selector"] == spec["selector"]


async def test_a_pool_of_the_same_name_made_at_once_again_gets_children_of_its_own(
    operator: Operator, admin: Administrator
) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    old = await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
    keys = await admin.until(SECRET, KEYS, bool, "the Secret is there")
    await admin.delete(POOL, "search")
    await admin.pool()
    uid = (await admin.get(POOL, "search"))["metadata"]["uid"]
    for kind, name in CHILDREN:
        await admin.until(
            kind,
            name,
            lambda found: found and found["metadata"]["ownerReferences"][0]["uid"] == uid,
            f"{kind.kind} belongs to the new pool",
        )
    assert (await admin.get(DEPLOYMENT, GATEWAY))["metadata"]["uid"] != old["metadata"]["uid"]
    assert (await admin.get(SECRET, KEYS))["data"] != keys["data"]
