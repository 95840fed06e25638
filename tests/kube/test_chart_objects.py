"""The objects of the chart and of the operator, judged by a real API server: each field is known, pods may run
restricted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mcppool_operator.resources import POD, Kind
from tests.chart.helm import VALUES, Helm
from tests.kube.administrator import NAMESPACE, Administrator, plural
from tests.kube.gateway_pods import wait_for_pods
from tests.kube.operator_process import Operator

RESTRICTED = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}


async def restrict(admin: Administrator) -> None:
    path = NAMESPACE.path(None, admin.namespace)
    await admin.call("PATCH", path, RESTRICTED, "application/merge-patch+json")


@pytest.mark.parametrize("values", VALUES, ids=lambda path: path.name.removesuffix("-values.yaml"))
async def test_the_api_server_knows_every_field_of_every_object_of_the_chart(
    admin: Administrator, helm: Helm, values: Path
) -> None:
    for obj in helm.template("--values", str(values)):
        placed = dict(obj["metadata"])
        if "namespace" in placed:
            placed["namespace"] = admin.namespace
        placed["name"] = f"{admin.namespace}-{placed['name']}"[:63]
        group, _, version = obj["apiVersion"].rpartition("/")
        kind = Kind(group, version, plural(obj["kind"]), obj["kind"])
        path = f"{kind.path(placed.get('namespace'))}?dryRun=All&fieldValidation=Strict"
        await admin.call("POST", path, {**obj, "metadata": placed})


async def test_the_charts_pods_may_run_in_a_restricted_namespace(admin: Administrator, helm: Helm) -> None:
    await restrict(admin)
    objects = helm.template()
    templates: list[dict[str, Any]] = [obj for obj in objects if obj["kind"] == "Pod"]
    templates += [obj["spec"]["template"] for obj in objects if obj["kind"] == "Deployment"]
    assert len(templates) == 3, "the operator's, and two of helm test"
    for number, template in enumerate(templates):
        pod = admin.here(POD, f"pod-{number}", spec=template["spec"])
        await admin.call("POST", f"{POD.path(admin.namespace)}?dryRun=All", pod)


async def test_gateways_run_in_a_restricted_namespace(operator: Operator, admin: Administrator) -> None:
    await restrict(admin)
    static = {"type": "Static", "static": {"endpoints": [{"url": "http://10.0.0.1:8000/mcp"}]}}
    await admin.pool(source=static)
    await wait_for_pods(admin, 2)
