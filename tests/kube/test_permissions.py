"""The operator asks for nothing that the chart does not grant, and the chart grants nothing that is not asked for."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

from mcppool_operator.api import KubeError
from mcppool_operator.children.table import CHILDREN
from mcppool_operator.pods import DELETION_COST
from mcppool_operator.resources import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    HTTP_ROUTE,
    INGRESS,
    LEASE,
    NETWORK_POLICY,
    POD,
    POOL,
    SERVICE,
    SERVICE_MONITOR,
)
from mcppool_operator.rotation import ROTATE
from tests.chart.helm import Helm
from tests.kube.administrator import Administrator
from tests.kube.conftest import LEASE_PATIENCE, PERMISSIONS, operators
from tests.kube.control_plane import AUDIT, Cluster
from tests.kube.gateway_pods import gateway_pods, wait_for_pods
from tests.kube.operator_process import Operator
from tests.requirements import missing
from tests.waiting import until

Permission = tuple[str, str, str]
EVERYTHING = {
    "serviceMonitor": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "autoscaling": {"maxReplicas": 5},
    "route": {"type": "Ingress", "hostnames": ["mcp.example.com"]},
}
CHANGE = {
    "metadata": {"annotations": {"mcppool.dev/applied": "changed"}, "labels": {"app.kubernetes.io/managed-by": None}}
}
"""Changed from its desired state, and no longer shown by the watch, so that it is read, too."""

OTHER_ROUTE = {"type": "HTTPRoute", "hostnames": ["mcp.example.com"], "parentRefs": [{"name": "public"}]}
CHANGED = [child.kind for child in CHILDREN if child.watched and child.kind not in (CONFIG_MAP, HTTP_ROUTE)]

# Looked at by admission plug-ins (OpenShift's) where owner references have blockOwnerDeletion; no request shows it.
UNSEEN: set[Permission] = {("mcppool.dev", "mcpserverpools/finalizers", "update")}


def granted(objects: list[dict[str, Any]]) -> set[Permission]:
    """Group, resource and verb of everything that the chart's roles of the operator grant."""
    roles = [
        obj
        for obj in objects
        if obj["kind"] in ("ClusterRole", "Role") and "aggregate-to" not in str(obj["metadata"]["labels"])
    ]
    return {
        (group, resource, verb)
        for role in roles
        for rule in role["rules"]
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def asked(requests: list[dict[str, Any]]) -> set[Permission]:
    """The same for requests; an apply that creates needs `create` too."""
    found = set()
    for request in requests:
        place = request.get("objectRef")
        if place is None:
            continue  # discovery, which everyone may request
        resource = "/".join(filter(None, (place.get("resource"), place.get("subresource"))))
        found.add((place.get("apiGroup", ""), resource, request["verb"]))
        if request["verb"] == "patch" and request.get("responseStatus", {}).get("code") == 201:
            found.add((place.get("apiGroup", ""), resource, "create"))
    return {entry for entry in found if entry[1]}


async def until_marked(admin: Administrator) -> None:
    """Wait until the operator has written the deletion cost of a pod."""
    async with asyncio.timeout(60):
        while not any(
            DELETION_COST in (pod["metadata"].get("annotations") or {})
            for pod in await admin.api.list(POD, admin.namespace)
        ):
            await asyncio.sleep(0.1)


async def test_the_operator_uses_every_permission_that_the_chart_grants_and_needs_no_other(
    installed: Cluster, admin: Administrator, helm: Helm
) -> None:
    if installed.audit is None:
        missing(*AUDIT)
    # A namespace of another test that is being deleted forbids everyone to write there.
    places = {None, admin.namespace, "mcppool-system"}
    earlier = len(installed.requests())  # other tests ask with the operator's token for what it must not get
    with contextlib.suppress(KubeError):  # there is none yet; else the operators would not need to make one
        await admin.call("DELETE", LEASE.path("mcppool-system", "mcppool"))
    # Two, because only a candidate watches the Lease.
    async with operators(installed, "audited", "standby") as both:
        await until(lambda: any(operator.leads() for operator in both), "one leads", LEASE_PATIENCE)
        await admin.service()
        await admin.server("10.1.0.1")
        # Servers of its own, until there are others.
        managed = {"type": "Managed", "managed": {"image": "example.com/server:1", "port": 8000, "replicas": 2}}
        await admin.pool(source=managed)
        for number, pod in enumerate(await wait_for_pods(admin, 2, component="server"), 11):
            await admin.place(pod)
            await admin.become_ready(pod, f"10.1.0.{number}")
        async with gateway_pods(installed, admin) as gateways:
            for gateway in gateways:
                gateway.sessions = {"http://10.1.0.11:8000/mcp": 1}
            await until_marked(admin)
        await admin.pool(gateway=EVERYTHING)
        for kind in (DEPLOYMENT, SERVICE, DISRUPTION_BUDGET):
            await admin.until(kind, "search-mcp-server", lambda found: found is None, f"{kind.kind} is gone")
        await admin.until(SERVICE_MONITOR, "search-mcp-gateway", bool, "the ServiceMonitor is there")
        elsewhere = {"type": "Service", "service": {"name": "elsewhere", "port": 1}}
        await admin.pool(source=elsewhere, gateway=EVERYTHING)
        await admin.pool_says("Ready", "False", "ServiceNotFound")
        # Changes of each kind, so that existing objects are written, too.
        for kind in CHANGED:
            await admin.merge(kind, "search-mcp-gateway", CHANGE)
        await admin.merge(CONFIG_MAP, "search-mcp-config", {**CHANGE, "data": {"snapshot.json": "changed"}})
        await admin.pool(gateway={**EVERYTHING, "resources": {"requests": {"cpu": "50m"}}})
        for kind in CHANGED:
            await admin.until(
                kind,
                "search-mcp-gateway",
                lambda found: found["metadata"]["annotations"]["mcppool.dev/applied"] != "changed",
                f"{kind.kind} is as it was",
            )
        await admin.until(
            CONFIG_MAP,
            "search-mcp-config",
            lambda found: found["data"]["snapshot.json"] != "changed",
            "ConfigMap is as it was",
        )
        await admin.pool(gateway={"route": OTHER_ROUTE})
        await admin.until(HTTP_ROUTE, "search-mcp-gateway", bool, "the HTTPRoute is there")
        await admin.merge(HTTP_ROUTE, "search-mcp-gateway", CHANGE)
        await admin.until(
            HTTP_ROUTE,
            "search-mcp-gateway",
            lambda found: found["metadata"]["annotations"]["mcppool.dev/applied"] != "changed",
            "HTTPRoute is as it was",
        )
        # A key of a rotation, whose description is edited and therefore made anew.
        await admin.merge(POOL, "search", {"metadata": {"annotations": {ROTATE: "now"}}})
        described = await admin.until(CONFIG_MAP, "search-mcp-keys-1", bool, "the new key is described")
        await admin.merge(CONFIG_MAP, "search-mcp-keys-1", {"data": {"id": "another"}})
        await admin.until(
            CONFIG_MAP,
            "search-mcp-keys-1",
            lambda found: found and found["metadata"]["uid"] != described["metadata"]["uid"],
            "it is described anew",
        )
        await admin.pool()
        for kind in (SERVICE_MONITOR, NETWORK_POLICY, AUTOSCALER, INGRESS, HTTP_ROUTE):
            await admin.until(kind, "search-mcp-gateway", lambda found: found is None, f"{kind.kind} is gone again")
        await admin.delete(POOL, "search")
    requests = installed.requests()[earlier:]
    forbidden = [
        request["requestURI"]
        for request in requests
        if request.get("responseStatus", {}).get("code") in (401, 403)
        and request.get("objectRef", {}).get("namespace") in places
    ]
    assert forbidden == []
    assert asked(requests) == granted(helm.template()) - UNSEEN


async def test_an_operator_for_some_namespaces_works_with_roles_in_those_alone(
    installed: Cluster, admin: Administrator, helm: Helm
) -> None:
    values = ("--set", "fullnameOverride=few", "--set", f"watchNamespaces={{{admin.namespace}}}")
    objects = [obj for obj in helm.template(*values) if obj["kind"] in PERMISSIONS and "Cluster" not in obj["kind"]]
    await admin.put(*objects)
    few = Operator(
        "few",
        installed.kubeconfig("few", await admin.token("mcppool-system", "few")),
        f"--namespace={admin.namespace}",
        "--lease-name=few",
    )
    try:
        await few.ready()
        await admin.service()
        await admin.server("10.1.0.1")
        await admin.pool()
        await admin.until(DEPLOYMENT, "search-mcp-gateway", bool, "the Deployment is there")
        await admin.delete(DEPLOYMENT, "search-mcp-gateway")
        await admin.until(DEPLOYMENT, "search-mcp-gateway", bool, "the Deployment is there again")
        assert few.stop() == 0
        assert [line for line in few.lines() if line["level"] not in ("debug", "info")] == []
    finally:
        few.stop()
