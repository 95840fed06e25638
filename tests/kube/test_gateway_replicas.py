"""The number of a pool's gateways: who sets it, and why some do not start."""

from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.resources import (
    AUTOSCALER,
    DEPLOYMENT,
    POD,
    POOL,
)
from tests.kube.administrator import Administrator, conditions
from tests.kube.control_plane import Cluster
from tests.kube.gateway_pods import wait_for_pods
from tests.kube.operator_process import Operator
from tests.kube.pool_objects import GATEWAY, replicas


async def test_a_pool_reports_why_its_autoscaler_does_not_scale(operator: Operator, admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool(gateway={"autoscaling": {"maxReplicas": 5}})
    message = await admin.pool_says("Autoscaled", "False", "FailedGetResourceMetric")
    assert message.startswith(f'HorizontalPodAutoscaler "{GATEWAY}" does not scale: ')
    await admin.pool()
    await admin.until(POOL, "search", lambda found: "Autoscaled" not in conditions(found), "nothing scales any more")


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
