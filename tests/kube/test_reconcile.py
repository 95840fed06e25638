"""The operator at work in a real cluster: objects that it creates, keeps, repairs and leaves alone."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest

from mcppool_operator.children.deployment import account_of
from mcppool_operator.resources import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    POD,
    POOL,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    SERVICE_MONITOR,
)
from tests.kube.administrator import Administrator, conditions
from tests.kube.control_plane import AUDIT, WRITES, Cluster
from tests.kube.gateway_pods import wait_for_pods
from tests.kube.operator_process import Operator
from tests.requirements import missing
from tests.waiting import until

GATEWAY, CONFIG, KEYS = "search-mcp-gateway", "search-mcp-config", "search-mcp-keys"
CHILDREN = [
    (CONFIG_MAP, CONFIG),
    (SECRET, KEYS),
    (SERVICE_ACCOUNT, GATEWAY),
    (ROLE, GATEWAY),
    (ROLE_BINDING, GATEWAY),
    (SERVICE, GATEWAY),
    (SERVICE, "search-mcp-admin"),
    (DISRUPTION_BUDGET, GATEWAY),
    (DEPLOYMENT, GATEWAY),
]


EVERYTHING = {
    "serviceMonitor": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "autoscaling": {"maxReplicas": 5},
}
EXTRAS = [(SERVICE_MONITOR, GATEWAY), (NETWORK_POLICY, GATEWAY), (AUTOSCALER, GATEWAY)]


def endpoints(config_map: Any) -> dict[str, bool]:
    """The endpoints of the published snapshot, and whether they are draining."""
    if config_map is None:
        return {}
    (pool,) = json.loads(config_map["data"]["snapshot.json"])["pools"]
    return {entry["url"]: entry.get("draining", False) for entry in pool["endpoints"]}


def order(config_map: Any) -> tuple[int, int]:
    snapshot = json.loads(config_map["data"]["snapshot.json"])
    return snapshot["term"], snapshot["generation"]


def url(address: str) -> str:
    return f"http://{address}:8000/mcp"


def is_another(old: Any, found: Any) -> bool:
    return found is not None and found["metadata"]["uid"] != old["metadata"]["uid"]


async def published(admin: Administrator, *addresses: str) -> Any:
    wanted = {url(address) for address in addresses}
    return await admin.until(
        CONFIG_MAP, CONFIG, lambda found: set(endpoints(found)) == wanted, f"{addresses} published"
    )


async def test_a_pool_gets_everything_that_it_needs_and_all_of_it_goes_with_the_pool(
    operator: Operator, admin: Administrator
) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(gateway=EVERYTHING)
    everything = [*CHILDREN, *EXTRAS]
    for kind, name in everything:
        await admin.until(kind, name, bool, f"{kind.kind} {name} is there")
    await published(admin, "10.1.0.1")
    await admin.delete(POOL, "search")
    for kind, name in everything:
        await admin.until(kind, name, lambda found: found is None, f"{kind.kind} {name} is gone")


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


async def test_what_others_change_is_put_right(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(gateway={"replicas": 2})
    before = await published(admin, "10.1.0.1")
    await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
    await admin.merge(
        DEPLOYMENT, GATEWAY, {"spec": {"replicas": 7, "template": {"spec": {"enableServiceLinks": True}}}}
    )
    await admin.until(
        DEPLOYMENT,
        GATEWAY,
        lambda found: found["spec"]["replicas"] == 2 and not found["spec"]["template"]["spec"]["enableServiceLinks"],
        "the Deployment is as it was",
    )
    await admin.merge(SERVICE, GATEWAY, {"spec": {"selector": {"app.kubernetes.io/component": "other"}}})
    await admin.until(
        SERVICE,
        GATEWAY,
        lambda found: found["spec"]["selector"]["app.kubernetes.io/component"] == "gateway",
        "the Service is as it was",
    )
    await admin.merge(CONFIG_MAP, CONFIG, {"data": {"snapshot.json": "garbage"}})
    repaired = await admin.until(
        CONFIG_MAP, CONFIG, lambda found: found["data"]["snapshot.json"] != "garbage", "the ConfigMap is as it was"
    )
    assert endpoints(repaired) == endpoints(before)
    assert order(repaired) >= order(before)


async def test_additions_of_others_to_a_list_are_reported_and_not_fought_over(
    operator: Operator, admin: Administrator, kube: Cluster
) -> None:
    if kube.audit is None:
        missing(*AUDIT)
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(gateway={"replicas": 1})
    await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
    sidecar = {"containers": [{"name": "sidecar", "image": "example.com/sidecar:1"}]}
    await admin.put(admin.here(DEPLOYMENT, GATEWAY, spec={"template": {"spec": sidecar}}))
    message = await admin.pool_says("Drifted", "True", "ForeignFields")
    assert message.startswith(
        f'Deployment "{GATEWAY}": spec.template.spec.containers has 2 entries and not 1: sidecar;'
    )
    writes = patches(kube, admin.namespace)
    for note in ("x", "y"):
        looks = looked(kube, admin.namespace)
        await admin.merge(POOL, "search", {"metadata": {"annotations": {"example.com/note": note}}})
        await until(lambda: looked(kube, admin.namespace) > looks, "the pool was looked at again")  # noqa: B023
    assert patches(kube, admin.namespace) == writes
    # The manager that added it removes it.
    await admin.put(admin.here(DEPLOYMENT, GATEWAY, spec={}))
    await admin.until(POOL, "search", lambda found: "Drifted" not in conditions(found), "nothing is foreign any more")


def patches(kube: Cluster, namespace: str) -> int:
    """How often the operator has written a Deployment there."""
    return sum(
        request["verb"] == "patch" and request["objectRef"]["resource"] == "deployments"
        for request in seen(kube, namespace)
    )


def looked(kube: Cluster, namespace: str) -> int:
    """How often the operator has read a pool there."""
    return sum(
        request["verb"] == "get" and request["objectRef"]["resource"] == "mcpserverpools"
        for request in seen(kube, namespace)
    )


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


async def test_a_pool_reports_why_its_autoscaler_does_not_scale(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(gateway={"autoscaling": {"maxReplicas": 5}})
    message = await admin.pool_says("Autoscaled", "False", "FailedGetResourceMetric")
    assert message.startswith(f'HorizontalPodAutoscaler "{GATEWAY}" does not scale: ')
    await admin.pool()
    await admin.until(POOL, "search", lambda found: "Autoscaled" not in conditions(found), "nothing scales any more")


async def test_what_others_delete_is_made_again(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(gateway=EVERYTHING)
    before = await published(admin, "10.1.0.1")
    # That the Secret is gone is seen because a gateway on a node waits to start, not by a watch. It is the first: once
    # the Deployment has been deleted, its pods go at any time.
    for pod in await wait_for_pods(admin, 2):
        await admin.place(pod)
    places = [(kind, name) for kind, name in [*CHILDREN, *EXTRAS] if kind is not SECRET]
    for kind, name in [(SECRET, KEYS), *places]:
        old = await admin.until(kind, name, bool, f"{kind.kind} is there")
        await admin.delete(kind, name)
        another = partial(is_another, old)
        await admin.until(kind, name, another, f"{kind.kind} is made again")
    again = await published(admin, "10.1.0.1")
    assert order(again) >= order(before)


async def test_gateways_are_replaced_when_their_account_is_another_one_because_their_tokens_are_worth_nothing(
    operator: Operator, admin: Administrator
) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    first = await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
    account = await admin.get(SERVICE_ACCOUNT, GATEWAY)
    assert account_of(first) == account["metadata"]["uid"]
    await admin.delete(SERVICE_ACCOUNT, GATEWAY)
    again = await admin.until(SERVICE_ACCOUNT, GATEWAY, partial(is_another, account), "the account is made again")
    await admin.until(
        DEPLOYMENT, GATEWAY, lambda found: account_of(found) == again["metadata"]["uid"], "the pods get its tokens"
    )


async def test_the_sealing_keys_are_made_once(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    first = await admin.until(SECRET, KEYS, bool, "the Secret is there")
    await admin.pool(gateway={"replicas": 3})
    await admin.until(DEPLOYMENT, GATEWAY, lambda found: found and found["spec"]["replicas"] == 3, "three replicas")
    assert (await admin.get(SECRET, KEYS))["data"] == first["data"]


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


async def test_what_is_no_longer_wanted_goes(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.pool(gateway={"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}})
    found = await admin.until(SERVICE_MONITOR, GATEWAY, bool, "the ServiceMonitor is there")
    assert found["metadata"]["labels"]["release"] == "prometheus"
    await admin.pool(gateway=EVERYTHING)
    for kind, name in EXTRAS:
        await admin.until(kind, name, bool, f"{kind.kind} is there")
    await admin.pool()
    for kind, name in EXTRAS:
        await admin.until(kind, name, lambda found: found is None, f"{kind.kind} is gone")


def replicas(found: Any) -> int | None:
    return found["spec"]["replicas"] if found else None


async def scale(admin: Administrator, count: int) -> None:
    """As an autoscaler does it, or a person with `kubectl scale deployment`."""
    await admin.merge(DEPLOYMENT, GATEWAY, {"spec": {"replicas": count}}, "scale")


@pytest.mark.parametrize("gateway", [{}, {"autoscaling": {"minReplicas": 1, "maxReplicas": 9}}], ids=["plain", "hpa"])
async def test_a_number_of_gateways_that_the_pool_does_not_give_is_never_written(
    operator: Operator, admin: Administrator, gateway: dict[str, Any]
) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(gateway=gateway)
    await admin.until(DEPLOYMENT, GATEWAY, lambda found: replicas(found) == 2, "two to begin with")
    for number in (5, 1, 7):
        await scale(admin, number)
        # Other changes of the Deployment make the operator write it: the number stays.
        node = {"spec": {"nodeSelector": {"number": str(number)}}}
        await admin.pool(gateway={**gateway, "podTemplate": node})
        found = await admin.until(
            DEPLOYMENT,
            GATEWAY,
            lambda found, number=number: (
                found["spec"]["template"]["spec"].get("nodeSelector") == {"number": str(number)}
            ),
            "the change has arrived",
        )
        assert replicas(found) == number


async def test_a_number_that_the_pool_gives_up_stays_where_it_is(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(gateway={"replicas": 4})
    await admin.until(DEPLOYMENT, GATEWAY, lambda found: replicas(found) == 4, "four")
    seen = []
    await admin.pool(gateway={"autoscaling": {"maxReplicas": 9}, "podTemplate": {"spec": {"priorityClassName": "x"}}})

    def arrived(found: Any) -> bool:
        seen.append(replicas(found))
        return found["spec"]["template"]["spec"].get("priorityClassName") == "x"

    await admin.until(DEPLOYMENT, GATEWAY, arrived, "the change has arrived")
    await admin.until(AUTOSCALER, GATEWAY, bool, "the autoscaler is there")
    await scale(admin, 6)
    await admin.pool(gateway={"autoscaling": {"maxReplicas": 8}})
    found = await admin.until(
        AUTOSCALER, GATEWAY, lambda found: found["spec"]["maxReplicas"] == 8, "the autoscaler is changed"
    )
    assert found["spec"]["scaleTargetRef"]["name"] == GATEWAY
    await admin.until(
        DEPLOYMENT,
        GATEWAY,
        lambda found: "priorityClassName" not in found["spec"]["template"]["spec"],
        "the Deployment is written again",
    )
    assert set(seen) == {4}, "it was never another number in between"
    assert replicas(await admin.get(DEPLOYMENT, GATEWAY)) == 6


async def test_an_extra_that_cannot_be_made_degrades_the_pool_and_no_more(
    operator: Operator, admin: Administrator
) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "theirs"}
    await admin.put(admin.here(AUTOSCALER, GATEWAY, spec={"maxReplicas": 1, "scaleTargetRef": target}))
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(gateway={"autoscaling": {"maxReplicas": 9}})
    message = await admin.pool_says("Degraded", "True", "NameConflict")
    assert message.startswith(f'HorizontalPodAutoscaler "{GATEWAY}"')
    await admin.pool_says("Programmed", "Unknown", "Pending")
    await admin.delete(AUTOSCALER, GATEWAY)
    await admin.pool_says("Degraded", "False", "AsExpected")


async def test_gateways_that_do_not_start_are_reported_with_their_causes(
    operator: Operator, admin: Administrator
) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    pod, _ = await wait_for_pods(admin, 2)
    waiting = {"reason": "ImagePullBackOff", "message": "Back-off pulling image"}
    container = {"name": "gateway", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [{**container, "state": {"waiting": waiting}}]}
    await admin.merge(POD, pod, {"status": status}, "status")
    await admin.until(
        POOL,
        "search",
        lambda found: f"{pod}: ImagePullBackOff (Back-off pulling image)" in str(conditions(found).get("Ready")),
        "the pool says so",
    )
    assert (await admin.pool_says("Ready", "False", "MinimumReplicasUnavailable")).startswith("0 of 2 gateways")
    assert conditions(await admin.get(POOL, "search"))["Reconciling"][0] == "True"


async def test_kubectl_scale_changes_the_number_of_gateways(
    operator: Operator, admin: Administrator, kube: Cluster
) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
    kube.kubectl_says("scale", f"--namespace={admin.namespace}", "mcppool/search", "--replicas=4")
    await admin.until(DEPLOYMENT, GATEWAY, lambda found: found["spec"]["replicas"] == 4, "four replicas")
    scale = await admin.until(
        POOL, "search", lambda found: found["status"]["gateway"]["replicas"] == 4, "the status shows four"
    )
    assert scale["status"]["gateway"]["selector"] == (
        "app.kubernetes.io/component=gateway,app.kubernetes.io/instance=search"
    )


async def test_a_suspended_pool_is_left_as_it_is(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    before = await published(admin, "10.1.0.1")
    await admin.pool(suspend=True)
    await admin.pool_says("Accepted", "False", "Suspended")
    await admin.server("10.1.0.2")
    await admin.pool(suspend=True, gateway={"replicas": 9})
    await admin.until(POOL, "search", lambda found: found["status"]["observedGeneration"] == 3, "the change was seen")
    assert await admin.get(CONFIG_MAP, CONFIG) == before
    assert (await admin.get(DEPLOYMENT, GATEWAY))["spec"]["replicas"] == 2
    await admin.pool(suspend=False)
    await published(admin, "10.1.0.1", "10.1.0.2")


async def test_static_addresses_are_published_with_their_settings(operator: Operator, admin: Administrator) -> None:
    listed = [{"url": "http://10.9.0.1:8000/mcp", "weight": 50, "zone": "a"}, {"url": "http://10.9.0.2:8000/mcp"}]
    await admin.pool(source={"type": "Static", "static": {"endpoints": listed}})
    found = await admin.until(CONFIG_MAP, CONFIG, bool, "the snapshot is there")
    (pool,) = json.loads(found["data"]["snapshot.json"])["pools"]
    assert [(entry["url"], entry["weight"], entry["zone"]) for entry in pool["endpoints"]] == [
        ("http://10.9.0.1:8000/mcp", 50, "a"),
        ("http://10.9.0.2:8000/mcp", 100, None),
    ]


def seen(kube: Cluster, namespace: str) -> list[dict[str, Any]]:
    """The operator's requests about a namespace."""
    return [request for request in kube.requests() if request.get("objectRef", {}).get("namespace") == namespace]


async def test_a_pool_at_rest_causes_no_writes(operator: Operator, admin: Administrator, kube: Cluster) -> None:
    if kube.audit is None:
        missing(*AUDIT)
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    pool = await admin.until(
        POOL,
        "search",
        lambda found: (
            "no gateway is ready" in str(conditions(found))
            and found["status"]["gateway"]["replicas"] == found["status"]["gateway"]["updatedReplicas"] == 2
        ),
        "the gateways were looked for",
    )

    async def stir(note: str | None) -> None:
        """An event that concerns the pool and changes nothing of it."""
        looks = looked(kube, admin.namespace)
        await admin.merge(POOL, "search", {"metadata": {"annotations": {"example.com/note": note}}})
        await until(lambda: looked(kube, admin.namespace) > looks, "the pool was looked at again")

    # One worker looks at it at a time: when the next look begins, the one before is over. Those that wrote the status,
    # and what the audit log has of them, are over after two.
    for note in ("v", "w"):
        await stir(note)
    before = len(seen(kube, admin.namespace))
    for note in ("x", None, "y"):
        await stir(note)
    # To find a Secret where it should be is no write: it is looked for by creating it, and never read.
    written = [
        (request["verb"], request["requestURI"])
        for request in seen(kube, admin.namespace)[before:]
        if request["verb"] in WRITES and request["responseStatus"].get("reason") != "AlreadyExists"
    ]
    assert written == []
    await until(lambda: operator.metric('mcppool_operator_pools{ready="False"}') >= 1, "the metric counts it")
    assert conditions(await admin.get(POOL, "search")) == conditions(pool)


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
