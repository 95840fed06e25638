"""Fields of gateway pods that a pool's author may set, and fields that are refused by name."""

from __future__ import annotations

from typing import Any

import pytest

from mcppool.spec.resource import read_resource
from tests.unit.spec.test_resource import SMALLEST, problems, resource

GATEWAY = {"name": "gateway"}


def templated(**spec: Any) -> dict[str, Any]:
    return {**SMALLEST, "gateway": {"podTemplate": {"spec": spec}}}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"serviceAccountName": "admin"}, "serviceAccountName: cannot be set: gateways have their own account"),
        ({"hostNetwork": True}, "hostNetwork: cannot be set: gateways have no access to their node"),
        ({"initContainers": [{}]}, "initContainers: cannot be set: a pod has only one container"),
        (
            {"containers": [{**GATEWAY, "image": "mine"}]},
            "containers[0].image: cannot be set: `gateway.image` names it",
        ),
        (
            {"containers": [{**GATEWAY, "command": ["sh"]}]},
            "containers[0].command: cannot be set: the operator sets it",
        ),
        ({"containers": [{"name": "sidecar"}]}, 'containers[0].name: "sidecar" is not allowed; allowed: gateway'),
        (
            {"containers": [{**GATEWAY, "env": [{"name": "A", "valueFrom": {"secretKeyRef": {}}}]}]},
            "containers[0].env[0].valueFrom: cannot be set: only literal values are allowed",
        ),
        (
            {"containers": [{**GATEWAY, "env": [{"name": "LD_PRELOAD", "value": "x"}]}]},
            'containers[0].env[0].name: "LD_PRELOAD" is reserved: it would change the program',
        ),
        (
            {"volumes": [{"name": "a", "hostPath": {"path": "/"}}]},
            "volumes[0].hostPath: cannot be set: it could hold the data of others",
        ),
        ({"volumes": [{"name": "a"}]}, "volumes[0].emptyDir: exactly one of emptyDir, downwardAPI must be set"),
        (
            {"volumes": [{"name": "config", "emptyDir": {}}]},
            'volumes[0].name: "config" is reserved: the operator has a volume of that name',
        ),
        (
            {"containers": [{**GATEWAY, "volumeMounts": [{"name": "a", "mountPath": "/mnt/a"}]}]},
            'containers: "a" is not one of volumes',
        ),
        (
            {
                "volumes": [{"name": "a", "emptyDir": {}}],
                "containers": [{**GATEWAY, "volumeMounts": [{"name": "a", "mountPath": "/opt/mcppool/lib"}]}],
            },
            'containers[0].volumeMounts[0].mountPath: "/opt/mcppool/lib" is not allowed; allowed: a path that',
        ),
        ({"securityContext": {"runAsUser": 0}}, "securityContext.runAsUser: 0 is not allowed"),
        (
            {"securityContext": {"runAsNonRoot": False}},
            "securityContext.runAsNonRoot: cannot be set: gateways never run",
        ),
        (
            {"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]},
            "tolerations[0].value: value must not be set if operator is Exists",
        ),
        ({"nodeSelector": {"a": "not a label"}}, 'nodeSelector.a: "not a label" is not allowed'),
        ({"madeUp": 1}, 'madeUp: unknown key "madeUp"'),
    ],
)
def test_fields_that_would_give_an_author_further_rights_are_refused_by_name(
    spec: dict[str, Any], expected: str
) -> None:
    problem = problems(templated(**spec))[0]
    assert problem.startswith(f"spec.gateway.podTemplate.spec.{expected}")


def test_the_operators_labels_are_the_operators() -> None:
    metadata = {"labels": {"app.kubernetes.io/instance": "other"}, "annotations": {"mcppool.dev/applied": "x"}}
    found = problems({**SMALLEST, "gateway": {"podTemplate": {"metadata": metadata}}})
    assert any("metadata.labels" in problem and "is reserved" in problem for problem in found)


def test_a_request_above_its_limit_is_refused() -> None:
    resources = {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}
    (problem,) = problems({**SMALLEST, "gateway": {"resources": resources}})
    assert "a request must not exceed the limit of the same name" in problem


def test_all_keys_are_read() -> None:
    gateway = read_resource(
        resource(
            templated(
                nodeSelector={"disk": "ssd"},
                tolerations=[{"operator": "Exists"}],
                affinity={"podAntiAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": []}},
                priorityClassName="high",
                topologySpreadConstraints=[],
                terminationGracePeriodSeconds=90,
                securityContext={"runAsUser": 1000, "seccompProfile": {"type": "RuntimeDefault"}},
                volumes=[{"name": "tmp", "emptyDir": {"medium": "Memory", "sizeLimit": "64Mi"}}],
                containers=[
                    {
                        **GATEWAY,
                        "env": [{"name": "HTTPS_PROXY", "value": "http://proxy:3128"}],
                        "resources": {"limits": {"memory": "1Gi"}},
                        "volumeMounts": [{"name": "tmp", "mountPath": "/tmp"}],
                    }
                ],
            )
        )
    ).gateway
    spec = gateway.pod_template.spec
    assert (spec.node_selector, spec.priority_class_name) == ({"disk": "ssd"}, "high")
    assert spec.topology_spread_constraints == ()
    assert spec.containers[0].volume_mounts[0].mount_path == "/tmp"
