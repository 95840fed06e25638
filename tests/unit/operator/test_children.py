"""Golden files: the operator's objects for a pool. UPDATE_GOLDEN=1 writes them anew; read the difference."""

from __future__ import annotations

import base64
import os
from collections.abc import Collection
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import assume, given
from hypothesis import strategies as st

from mcppool.spec.resource import Resource, read_resource
from mcppool.spec.sections.gateway import NetworkPolicySpec
from mcppool_operator.children import Owner
from mcppool_operator.children.config import next_snapshot
from mcppool_operator.children.deployment import GatewayImage
from mcppool_operator.children.keys import sealing_keys
from mcppool_operator.children.network_policy import network_policy
from mcppool_operator.children.plan import Installation, leftovers, plan
from mcppool_operator.optional_kinds import OPTIONAL
from mcppool_operator.resources import SERVICE, SERVICE_MONITOR, Kind
from mcppool_operator.rotation import SLOTS

GOLDEN = Path(__file__).parent / "golden"
INSTALLATION = Installation(GatewayImage("localhost/mcppool-gateway:1", pull_secrets=("registry",)), "mcppool-system")


def read(name: str) -> tuple[Owner, Resource]:
    pool = yaml.safe_load((GOLDEN / f"{name}.in.yaml").read_text())
    metadata = pool["metadata"]
    return Owner(metadata["namespace"], metadata["name"], metadata["uid"]), read_resource(pool)


def children(name: str, served: Collection[Kind] = OPTIONAL) -> dict[str, dict[str, Any] | None]:
    """The children of the gateways, by kind."""
    found = plan(*read(name), INSTALLATION, served)
    return {child.kind.kind: child.body for child in found if child.name.endswith("-gateway")}


def deployment(name: str) -> dict[str, Any]:
    found = children(name)["Deployment"]
    assert found is not None
    return found


@pytest.mark.parametrize("name", ["minimal", "full", "autoscaled", "managed", "stdio", "ingress", "route"])
def test_the_children_of_a_pool_are_as_written_down(name: str) -> None:
    bodies = [child.body for child in plan(*read(name), INSTALLATION, OPTIONAL) if child.body]
    text = yaml.safe_dump_all(bodies, sort_keys=False, width=120)
    golden = GOLDEN / f"{name}.out.yaml"
    if os.environ.get("UPDATE_GOLDEN") == "1":
        golden.write_text(text)
    assert text == golden.read_text()


def test_every_child_belongs_to_the_pool_and_goes_with_it() -> None:
    for body in filter(None, children("full").values()):
        (owner,) = body["metadata"]["ownerReferences"]
        assert owner["uid"] == "11111111-2222-3333-4444-555555555555"
        assert owner["controller"] is True
        assert body["metadata"]["namespace"] == "team-a"


def test_a_service_monitor_that_is_not_wanted_should_not_be_and_without_its_api_there_is_no_question() -> None:
    assert children("minimal")["ServiceMonitor"] is None
    assert "ServiceMonitor" not in children("full", served=())


def test_a_gateway_has_time_to_drain_before_it_is_killed() -> None:
    pod = deployment("full")["spec"]["template"]["spec"]
    assert pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"] == 5
    assert pod["terminationGracePeriodSeconds"] == 300  # the pool has said so
    assert deployment("minimal")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] == 30 + 10


def test_the_pools_pod_template_overrides_the_operators_defaults() -> None:
    template = deployment("full")["spec"]["template"]
    assert template["metadata"]["labels"]["team"] == "a"
    assert template["metadata"]["labels"]["app.kubernetes.io/component"] == "gateway"
    (gateway,) = template["spec"]["containers"]
    assert gateway["env"] == [{"name": "EXTRA", "value": "1"}]
    assert gateway["securityContext"]["readOnlyRootFilesystem"] is True
    assert template["spec"]["securityContext"]["runAsNonRoot"] is True


def test_a_name_of_fifty_characters_leaves_room_for_suffixes() -> None:
    owner = Owner("default", "a" * 50, "uid")
    assert max(map(len, (owner.config_name, owner.keys_name, owner.gateway_name))) <= 63


def test_each_secret_has_a_key_of_its_own_that_a_gateway_can_read() -> None:
    files = [base64.b64decode(sealing_keys(Owner("a", "b", "c"))["data"]["keys"]).decode() for _ in range(2)]
    assert files[0] != files[1]
    name, _, secret = files[0].strip().partition(":")
    assert name
    assert len(base64.b64decode(secret, validate=True)) == 32


def test_leftovers_are_the_children_that_the_present_source_lacks() -> None:
    def left(name: str) -> set[tuple[str, str]]:
        owner, resource = read(name)
        wanted = plan(owner, resource, INSTALLATION, ())
        return {(child.kind.kind, child.name) for child in leftovers(owner, wanted)}

    servers = {(kind, "search-mcp-server") for kind in ("Deployment", "Service", "PodDisruptionBudget")}
    assert left("managed") == {("Service", "search-mcp-pods")}
    assert left("full") == servers | {
        ("HorizontalPodAutoscaler", "search-mcp-server"),
        ("Service", "search-mcp-pods"),
    }


POOL_NAME = st.from_regex(
    r"[a-z]([-a-z0-9]{0,20}[a-z0-9])?(-mcp(-(config|keys|keys-1|gateway|server|pods))?)?", fullmatch=True
)


@given(POOL_NAME, POOL_NAME)
def test_two_pools_never_have_children_of_the_same_name(one: str, other: str) -> None:
    assume(one != other)

    def names(name: str) -> set[str]:
        owner = Owner("default", name, "uid")
        slots = {owner.slot_name(slot) for slot in (0, *SLOTS)}
        return {owner.config_name, owner.gateway_name, owner.server_name, owner.pods_name, *slots}

    assert not names(one) & names(other)


def test_the_gateways_find_each_other_by_a_headless_service_that_a_service_monitor_does_not_select() -> None:
    owner, resource = read("full")
    found = {child.place: child.body for child in plan(owner, resource, INSTALLATION, OPTIONAL)}
    service, monitor = found[SERVICE, owner.admin_name], found[SERVICE_MONITOR, owner.gateway_name]
    policy = network_policy(owner, NetworkPolicySpec(enabled=True), "mcppool-system")
    assert service is not None
    assert monitor is not None
    assert (service["spec"]["clusterIP"], service["spec"]["selector"]) == ("None", owner.selector)
    selected = monitor["spec"]["selector"]["matchLabels"].items()
    assert not selected <= service["metadata"]["labels"].items()
    assert {"podSelector": {"matchLabels": owner.selector}} in policy["spec"]["ingress"][1]["from"]
    metrics = next_snapshot(resource, (), 1, None).snapshot.metrics
    (url,) = metrics.gateways
    host = f"{owner.admin_name}.{owner.namespace}.svc"
    assert url == f"http://{host}:9090"
    assert host in metrics.allowed_hosts, "the gateways ask each other by this name"
    assert len(Owner("n", "x" * 50, "u").admin_name) <= 63
