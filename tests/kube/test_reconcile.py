"""The operator at work in a real cluster: objects that it creates, keeps, repairs and leaves alone."""

from __future__ import annotations

from functools import partial

from mcppool_operator.children.deployment import account_of
from mcppool_operator.resources import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    POOL,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    SERVICE_MONITOR,
)
from tests.kube.administrator import Administrator, conditions
from tests.kube.control_plane import AUDIT, WRITES, Cluster
from tests.kube.gateway_pods import wait_for_pods
from tests.kube.operator_process import Operator
from tests.kube.pool_objects import (
    CHILDREN,
    CONFIG,
    EVERYTHING,
    EXTRAS,
    GATEWAY,
    KEYS,
    endpoints,
    is_another,
    order,
    published,
    seen,
)
from tests.requirements import missing
from tests.waiting import until


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
