"""The NetworkPolicies of the chart and of the operator permit the needed connections, and no others."""

from __future__ import annotations

from typing import Any

import pytest

from mcppool.spec.resource import read_resource
from mcppool_operator.children import ADMIN_PORT, MCP_PORT, Owner
from mcppool_operator.children.deployment import GatewayImage
from mcppool_operator.children.plan import Installation, plan
from tests.chart.helm import Helm
from tests.chart.network_policies import Pod, passes, pod_of

SYSTEM = "mcppool-system"
DNS = Pod("kube-system", {"k8s-app": "kube-dns"})
API_SERVER = Pod("kube-system", {"component": "kube-apiserver"})
STRANGER = Pod("elsewhere", {"app": "stranger"})
AGENT = Pod("team-a", {"agent": "yes"})
PROMETHEUS = Pod("monitoring", {"app": "prometheus"})

LIMITED = {
    "enabled": True,
    "clients": [{"podSelector": {"matchLabels": {"agent": "yes"}}}],
    "scrapers": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
}


def gateways(policy: dict[str, Any]) -> tuple[Pod, list[dict[str, Any]]]:
    """The gateway pods of a pool, and the policies that the operator makes for it."""
    pool = {
        "metadata": {"name": "search", "namespace": "team-a", "uid": "1"},
        "spec": {
            "source": {"type": "Service", "service": {"name": "search", "port": 80}},
            "auth": {"inbound": {"type": "None"}},
            "gateway": {"networkPolicy": policy},
        },
    }
    installation = Installation(GatewayImage("gateway"), SYSTEM)
    found = [child.body for child in plan(Owner("team-a", "search", "1"), read_resource(pool), installation, ())]
    (deployment,) = [body for body in found if body and body["kind"] == "Deployment"]
    return pod_of(deployment), [body for body in found if body and body["kind"] == "NetworkPolicy"]


@pytest.fixture
def chart(helm: Helm) -> tuple[Pod, list[dict[str, Any]]]:
    """The operator's pods, and the chart's policies."""
    objects = helm.template("--set", "networkPolicy.enabled=true")
    (deployment,) = [obj for obj in objects if obj["kind"] == "Deployment"]
    return pod_of(deployment), [obj for obj in objects if obj["kind"] == "NetworkPolicy"]


def test_the_operator_reaches_only_its_own_targets(chart: tuple[Pod, list[dict[str, Any]]]) -> None:
    operator, policies = chart
    gateway, own = gateways(LIMITED)
    policies = [*policies, *own]
    assert passes(policies, operator, gateway, ADMIN_PORT)
    assert passes(policies, operator, API_SERVER, 443)
    assert passes(policies, operator, API_SERVER, 6443)
    assert passes(policies, operator, DNS, 53, "UDP")
    assert not passes(policies, operator, gateway, MCP_PORT)
    assert not passes(policies, operator, STRANGER, 80)
    assert not passes(policies, operator, STRANGER, ADMIN_PORT)


def test_the_operator_is_reached_on_metrics_and_probes_only(chart: tuple[Pod, list[dict[str, Any]]]) -> None:
    operator, policies = chart
    for name in ("metrics", "probes"):
        assert passes(policies, PROMETHEUS, operator, operator.ports[name])
    assert not passes(policies, PROMETHEUS, operator, 22)


def test_gateways_are_reached_by_their_clients_and_scrapers_only(chart: tuple[Pod, list[dict[str, Any]]]) -> None:
    operator, _ = chart
    gateway, policies = gateways(LIMITED)
    reached = {
        (name, port)
        for name, source in {"agent": AGENT, "prometheus": PROMETHEUS, "operator": operator, "x": STRANGER}.items()
        for port in (MCP_PORT, ADMIN_PORT, 22)
        if passes(policies, source, gateway, port)
    }
    assert reached == {("agent", MCP_PORT), ("prometheus", ADMIN_PORT), ("operator", ADMIN_PORT)}
    assert not passes(policies, Pod("team-b", AGENT.labels), gateway, MCP_PORT), "a client of another namespace"


def test_a_policy_without_clients_admits_calls_from_everywhere_and_no_admin_requests() -> None:
    gateway, policies = gateways({"enabled": True})
    assert passes(policies, STRANGER, gateway, MCP_PORT)
    assert not passes(policies, STRANGER, gateway, ADMIN_PORT)
    assert passes(policies, gateway, STRANGER, 8000), "servers may be anywhere"


def test_another_release_in_another_namespace_is_no_operator_of_the_pool() -> None:
    gateway, policies = gateways(LIMITED)
    assert not passes(policies, Pod("elsewhere", {"app.kubernetes.io/component": "operator"}), gateway, ADMIN_PORT)
