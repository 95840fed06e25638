"""A cluster for the whole run, and in it a namespace of its own for each test."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import pytest
import pytest_asyncio

from mcppool_operator.api import connect
from tests.chart.conftest import helm  # noqa: F401 (a fixture)
from tests.chart.helm import Helm
from tests.kube.administrator import Administrator, eventually
from tests.kube.control_plane import Cluster, cluster
from tests.kube.operator_process import Operator
from tests.requirements import ROOT
from tests.waiting import until

CRDS = (*sorted((ROOT / "crds").glob("*.yaml")), *sorted(Path(__file__).parent.glob("*.yaml")))
NODE = {
    "apiVersion": "v1",
    "kind": "Node",
    "metadata": {"name": "elsewhere", "labels": {"topology.kubernetes.io/zone": "zone-a"}},
}
POLICIES = ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding")
LEASE_PATIENCE = 120.0
"""Seconds in which an operator gets the Lease of one that could not release it."""

PERMISSIONS = ("ServiceAccount", "ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding", *POLICIES)


@pytest.fixture(scope="package")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """With the CRDs: ours, and the kind of thing that a Prometheus operator would bring."""
    with cluster(tmp_path_factory.mktemp("kube"), CRDS) as found:
        yield found


@pytest_asyncio.fixture(scope="package", loop_scope="session")
async def installed(kube: Cluster, helm: Helm) -> Cluster:  # noqa: F811 (that fixture)
    """The permissions that the chart gives the operator, and a node for pods to be on."""
    async with connect(str(kube.admin)) as api:
        administrator = Administrator(api)
        await administrator.put(NODE)
        await administrator.put(namespace("mcppool-system"))
        await administrator.put(*(obj for obj in helm.template() if obj["kind"] in PERMISSIONS))
        allowed = partial(administrator.allowed, "mcppool-system:mcppool", "patch", "services")
        await eventually(allowed, "the operator has its rights")
    return kube


@pytest.fixture
async def admin(installed: Cluster) -> AsyncIterator[Administrator]:
    """A user who may do everything, in a namespace of the test's own."""
    async with connect(str(installed.admin)) as api:
        administrator = Administrator(api)
        await administrator.put(namespace(administrator.namespace))
        yield administrator
        await administrator.leave()


@asynccontextmanager
async def operators(
    cluster: Cluster, *names: str, arguments: tuple[str, ...] = (), ready: bool = True
) -> AsyncIterator[list[Operator]]:
    """Replicas of the operator, each with a token of the chart's service account, until the end of the block."""
    running: list[Operator] = []
    async with connect(str(cluster.admin)) as api:
        try:
            for name in names:
                token = await Administrator(api).token("mcppool-system", "mcppool")
                running.append(Operator(name, cluster.kubeconfig(name, token), *arguments))
            for operator in running if ready else ():
                await operator.ready()
            yield running
        finally:
            for operator in running:
                operator.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def operator(installed: Cluster, request: pytest.FixtureRequest) -> AsyncIterator[Operator]:
    """One replica for the tests of a file."""
    name = f"operator-{request.module.__name__.rpartition('.')[2].replace('_', '-')}"
    async with operators(installed, name) as (running,):
        await until(running.leads, f"{name} leads", LEASE_PATIENCE)
        yield running


def namespace(name: str) -> dict[str, object]:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
