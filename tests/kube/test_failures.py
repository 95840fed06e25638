"""Faults of clusters: quotas, removed rights, ending namespaces, pools that are too large."""

from __future__ import annotations

from functools import partial

from mcppool_operator.api import KubeError, Object
from mcppool_operator.resources import CONFIG_MAP, DEPLOYMENT, ENDPOINT_SLICE, POOL, SERVICE, Kind
from tests.kube.administrator import NAMESPACE, Administrator, conditions, eventually
from tests.kube.control_plane import Cluster
from tests.kube.operator_process import Operator
from tests.kube.pool_objects import CONFIG, GATEWAY
from tests.waiting import until

QUOTA = Kind("", "v1", "resourcequotas", "ResourceQuota")
CLUSTER_ROLE = Kind("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole")
PER_SLICE = 1000
ERRORS = 'mcppool_operator_reconcile_total{result="error"}'


async def poke(admin: Administrator, note: str) -> None:
    """Have the operator look at the pool again, as an edit by a person would: a refusal is not tried again at once."""
    await admin.merge(POOL, "search", {"metadata": {"annotations": {"example.com/note": note}}})


async def test_a_quota_that_leaves_no_room_is_named_and_more_room_is_enough(
    operator: Operator, admin: Administrator
) -> None:
    hard = {"count/deployments.apps": "0", "pods": "0"}
    await admin.put(admin.here(QUOTA, "small", spec={"hard": hard}))
    await admin.until(QUOTA, "small", lambda found: found.get("status", {}).get("hard"), "the quota holds")
    await admin.pool(source={"type": "Static", "static": {"endpoints": [{"url": "http://10.9.0.1:8000/mcp"}]}})
    message = await admin.pool_says("Programmed", "False", "PublishFailed")
    assert f'Deployment "{GATEWAY}" could not be written: 403 Forbidden' in message
    assert "exceeded quota: small" in message
    await admin.pool_says("Stalled", "True", "PublishFailed")
    await admin.put(admin.here(QUOTA, "small", spec={"hard": {**hard, "count/deployments.apps": "5"}}))
    await admin.until(
        QUOTA, "small", lambda found: "5" in str(found["status"]["hard"]), "there is room for Deployments"
    )
    await poke(admin, "a")
    message = await admin.pool_says("DataPlaneAvailable", "False", "QuotaExceeded")
    assert "exceeded quota: small" in message
    await admin.delete(QUOTA, "small")
    await admin.until(
        DEPLOYMENT, GATEWAY, lambda found: found["status"].get("replicas"), "pods are made after all", limit=150
    )
    await admin.until(
        POOL, "search", lambda found: "QuotaExceeded" not in str(conditions(found)), "nothing is exceeded", limit=150
    )


async def test_a_right_that_is_taken_away_is_named_and_its_return_is_enough(
    operator: Operator, admin: Administrator
) -> None:
    path = CLUSTER_ROLE.path(None, "mcppool")
    role = await admin.call("GET", path)
    without = [rule for rule in role["rules"] if "services" not in rule["resources"]]
    read = {"apiGroups": [""], "resources": ["services"], "verbs": ["get", "list", "watch"]}
    await admin.call("PATCH", path, {"rules": [*without, read]}, "application/merge-patch+json")
    allowed = partial(admin.allowed, "mcppool-system:mcppool", "patch", "services")

    async def denied() -> bool:
        return not await allowed()

    errors = operator.metric(ERRORS)
    try:
        await eventually(denied, "the API server knows that the right is gone")
        await admin.pool(source={"type": "Static", "static": {"endpoints": [{"url": "http://10.9.0.1:8000/mcp"}]}})
        message = await admin.pool_says("Programmed", "False", "PublishFailed")
        assert f'Service "{GATEWAY}" could not be written: 403 Forbidden' in message
        await until(lambda: operator.metric(ERRORS) > errors, "the refused reconcile counts as an error")
        await admin.until(DEPLOYMENT, GATEWAY, lambda found: found is None, "gateways wait for their Service")
    finally:
        await admin.call("PATCH", path, {"rules": role["rules"]}, "application/merge-patch+json")
    await eventually(allowed, "the API server knows that it is back")
    await poke(admin, "a")
    await admin.until(SERVICE, GATEWAY, bool, "the Service is made", limit=150)
    await admin.until(DEPLOYMENT, GATEWAY, bool, "and the gateways", limit=150)


async def test_a_namespace_that_is_being_deleted_costs_its_own_pools_only(
    operator: Operator, admin: Administrator
) -> None:
    doomed = Administrator(admin.api)
    await admin.put({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": doomed.namespace}})
    await doomed.service()
    await doomed.server("10.1.0.1")
    await doomed.pool()
    await doomed.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
    await doomed.call("DELETE", NAMESPACE.path(None, doomed.namespace))
    try:
        await doomed.delete(DEPLOYMENT, GATEWAY)
    except KubeError as error:
        if error.status != 404:  # the controller of namespaces may be faster
            raise
    # Nothing can be made there any more; sooner or later the pool goes, too.
    await doomed.until(
        POOL,
        "search",
        lambda found: found is None or "because it is being terminated" in str(conditions(found)),
        "the pool says why it has no gateways, or is gone",
    )
    # Meanwhile others are served.
    await admin.service()
    await admin.server("10.1.0.2")
    await admin.pool()
    await admin.until(CONFIG_MAP, CONFIG, lambda found: "10.1.0.2" in str(found), "the other pool is published")
    await doomed.leave()
    await until(operator.leads, "it still leads")
    assert [line for line in operator.lines() if "exception" in line] == []


async def test_two_pools_with_clashing_children_each_keep_their_own(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool("other")
    await admin.until(DEPLOYMENT, "other-mcp-gateway", bool, "the other's Deployment is there")
    other = await admin.get(POOL, "other")
    # Names do not clash by themselves: somebody has given one pool an object with the name of another's.
    owner = {"apiVersion": POOL.api_version, "kind": POOL.kind, "name": "other", "uid": other["metadata"]["uid"]}
    theirs = admin.here(SERVICE, GATEWAY, spec={"ports": [{"port": 1}]})
    theirs["metadata"]["ownerReferences"] = [{**owner, "controller": True}]
    await admin.put(theirs)
    before = await admin.get(SERVICE, GATEWAY)
    await admin.pool()
    message = await admin.pool_says("Programmed", "False", "NameConflict")
    assert message.startswith(f'Service "{GATEWAY}"')
    assert (await admin.get(SERVICE, GATEWAY))["metadata"]["uid"] == before["metadata"]["uid"]
    assert (await admin.get(SERVICE, GATEWAY))["spec"] == before["spec"]
    await admin.until(DEPLOYMENT, GATEWAY, lambda found: found is None, "gateways wait for their Service")
    await admin.delete(POOL, "other")  # garbage collection takes that Service, too
    await admin.until(DEPLOYMENT, GATEWAY, bool, "there is room")
    found = await admin.get(SERVICE, GATEWAY)
    assert found["metadata"]["ownerReferences"][0]["name"] == "search"


def slice_of(admin: Administrator, number: int) -> Object:
    addresses = [f"10.{100 + number}.{last // 250}.{last % 250 + 1}" for last in range(PER_SLICE)]
    body = admin.here(ENDPOINT_SLICE, f"tools-{number}", labels={"kubernetes.io/service-name": "tools"})
    endpoints = [{"addresses": [address], "conditions": {"ready": True}} for address in addresses]
    ports = [{"name": "http", "port": 8000, "protocol": "TCP"}]
    return {**body, "addressType": "IPv4", "ports": ports, "endpoints": endpoints}


async def test_a_pool_with_too_many_endpoints_reports_it_and_its_gateways_keep_their_configuration(
    operator: Operator, admin: Administrator, kube: Cluster
) -> None:
    await admin.put(admin.here(SERVICE, "tools", spec={"ports": [{"name": "http", "port": 80}]}))
    await admin.put(slice_of(admin, 0))
    await admin.pool()
    await admin.until(CONFIG_MAP, CONFIG, lambda found: "10.100.3.250" in str(found), "a thousand are published")
    await admin.put(*(slice_of(admin, number) for number in range(1, 10)))
    message = await admin.pool_says("Programmed", "False", "TooManyEndpoints")
    assert "bytes" in message
    kept = (await admin.get(CONFIG_MAP, CONFIG))["data"]["snapshot.json"]
    assert "10.100.3.250" in kept
    assert len(kept) <= 1_000_000
    for number in range(1, 10):
        await admin.delete(ENDPOINT_SLICE, f"tools-{number}")
    await admin.until(
        POOL, "search", lambda found: "TooManyEndpoints" not in str(conditions(found)), "they fit again", limit=150
    )
