from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from mcppool.spec.resource import read_resource
from mcppool_operator.options import parse
from tests.chart.helm import CHART, VALUES, Helm
from tests.chart.values_table import readme
from tests.requirements import ROOT
from tests.unit.spec.test_secret_refs import PLACES


def of_kind(objects: list[dict[str, Any]], kind: str) -> list[dict[str, Any]]:
    return [obj for obj in objects if obj["kind"] == kind]


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The specification of every pod, the tests' own included."""
    return [obj["spec"]["template"]["spec"] for obj in of_kind(objects, "Deployment")] + [
        obj["spec"] for obj in of_kind(objects, "Pod")
    ]


def operator_arguments(objects: list[dict[str, Any]]) -> list[str]:
    (deployment,) = of_kind(objects, "Deployment")
    (container,) = deployment["spec"]["template"]["spec"]["containers"]
    arguments: list[str] = container["args"]
    return arguments


def test_helm_finds_nothing_to_say_against_the_chart(helm: Helm, values: Path) -> None:
    done = helm.run("lint", "--strict", str(CHART), "--values", str(values))
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_object_has_a_place_and_the_charts_labels(helm: Helm, values: Path) -> None:
    for obj in helm.template("--values", str(values)):
        metadata = obj["metadata"]
        assert metadata["labels"]["app.kubernetes.io/managed-by"] == "Helm", obj
        assert metadata["labels"]["app.kubernetes.io/instance"] == "mcppool", obj
        assert ("namespace" in metadata) == (not obj["kind"].startswith(("Cluster", "ValidatingAdmission"))), obj


def test_pods_meet_the_restricted_pod_security_standard(helm: Helm, values: Path) -> None:
    found = pods(helm.template("--values", str(values)))
    assert found
    for pod in found:
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod.keys()
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["runAsUser"] == 65532
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["automountServiceAccountToken"] is False
        assert all(volume.keys() <= {"name", "projected", "configMap", "emptyDir"} for volume in pod.get("volumes", []))
        for container in pod["containers"]:
            context = container["securityContext"]
            assert context["allowPrivilegeEscalation"] is False
            assert context["readOnlyRootFilesystem"] is True
            assert context["capabilities"] == {"drop": ["ALL"]}


def test_the_operator_takes_the_arguments_that_the_chart_gives_it(helm: Helm, values: Path) -> None:
    options = parse(operator_arguments(helm.template("--values", str(values))))
    given = yaml.safe_load(values.read_text()) or {}
    assert list(options.namespaces) == given.get("watchNamespaces", [])
    assert options.timing.duration == given.get("leaderElection", {}).get("leaseDuration", 15)
    assert options.workers == given.get("operator", {}).get("workers", 8)


def test_images_come_from_one_registry_and_bear_the_charts_version(helm: Helm) -> None:
    version = yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"]
    assert version == tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    objects = helm.template("--set", "image.registry=registry.example.com/team")
    assert pods(objects)[0]["containers"][0]["image"] == f"registry.example.com/team/mcppool-operator:{version}"
    assert f"--gateway-image=registry.example.com/team/mcppool-gateway:{version}" in operator_arguments(objects)


def test_a_platform_team_can_set_registry_labels_scheduling_and_extra_objects(helm: Helm) -> None:
    objects = helm.template("--values", str(CHART / "ci" / "platform-values.yaml"))
    own = [obj for obj in objects if obj["metadata"]["name"] != "extra"]
    assert {obj["metadata"]["labels"]["cost-centre"] for obj in own} == {"platform"}
    plain = [obj for obj in own if "helm.sh/hook" not in obj["metadata"].get("annotations", {})]
    assert {obj["metadata"]["annotations"]["example.com/owner"] for obj in plain} == {"platform"}
    (deployment,) = of_kind(objects, "Deployment")
    pod = deployment["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    assert container["image"].startswith("registry.example.com/mirror/mcppool-operator:")
    assert deployment["spec"]["strategy"] == {"type": "Recreate"}
    assert pod["securityContext"]["supplementalGroups"] == [4000]
    assert container["securityContext"]["privileged"] is False
    assert container["env"][-1]["name"] == "HTTPS_PROXY"
    assert operator_arguments(objects)[-1] == "--log-level=debug"
    assert (container["volumeMounts"][-1]["name"], pod["volumes"][-1]["name"]) == ("tmp", "tmp")
    assert container["startupProbe"]["periodSeconds"] == 2
    assert container["startupProbe"]["failureThreshold"] == 60
    assert pod["topologySpreadConstraints"][0]["whenUnsatisfiable"] == "DoNotSchedule"
    (budget,) = of_kind(objects, "PodDisruptionBudget")
    assert (budget["spec"]["maxUnavailable"], budget["spec"]["unhealthyPodEvictionPolicy"]) == (
        "50%",
        "IfHealthyBudget",
    )
    (extra,) = [obj for obj in objects if obj["metadata"]["name"] == "extra"]
    assert extra["metadata"]["namespace"] == "mcppool-system"


def test_names_made_of_the_longest_release_name_are_still_names(helm: Helm) -> None:
    release = "a" * 53
    done = helm.run("template", release, str(CHART), "--namespace", "x")
    assert done.returncode == 0, done.stderr
    names = [obj["metadata"]["name"] for obj in yaml.safe_load_all(done.stdout) if obj]
    assert max(map(len, names)) <= 63
    assert len({(obj["kind"], obj["metadata"]["name"]) for obj in yaml.safe_load_all(done.stdout) if obj}) == len(names)


def test_a_digest_holds_in_place_of_a_tag(helm: Helm) -> None:
    digest = f"sha256:{'5' * 64}"
    objects = helm.template("--set", f"image.operator.digest={digest}", "--set", f"image.gateway.digest={digest}")
    images = {f"localhost/mcppool-{name}@{digest}" for name in ("operator", "gateway")}
    assert {pod["containers"][0]["image"] for pod in pods(objects)} == images
    assert f"--gateway-image=localhost/mcppool-gateway@{digest}" in operator_arguments(objects)
    assert "digest" in helm.refusal('image={"gateway":{"digest":"latest"}}')


def test_the_policies_for_pools_hold_where_pools_are_reconciled(helm: Helm) -> None:
    def scope(*arguments: str) -> Any:
        bindings = of_kind(helm.template(*arguments), "ValidatingAdmissionPolicyBinding")
        (pools,) = [obj for obj in bindings if obj["metadata"]["name"].endswith("-pools")]
        return pools["spec"]["matchResources"]["namespaceSelector"]

    assert scope() == {}
    (expression,) = scope("--set", "watchNamespaces={team-a,team-b}")["matchExpressions"]
    assert (expression["operator"], expression["values"]) == ("In", ["team-a", "team-b"])
    assert not of_kind(helm.template("--set", "admissionPolicy.enabled=false"), "ValidatingAdmissionPolicy")
    contradiction = 'admissionPolicy={"enabled":false,"requireAuthentication":true}'
    assert "admissionPolicy.requireAuthentication has no effect" in helm.refusal(contradiction)


def test_the_policy_for_pools_knows_every_place_where_a_pool_refers_to_a_secret(helm: Helm) -> None:
    policies = of_kind(helm.template(), "ValidatingAdmissionPolicy")
    (pools,) = [obj for obj in policies if obj["metadata"]["name"].endswith("-pools")]
    (secrets,) = [entry["expression"] for entry in pools["spec"]["variables"] if entry["name"] == "secrets"]
    for place in PLACES:
        whole = f"object.spec.?{'.?'.join(place)}.?name"
        *way, last = place  # where a map or a list is on the way, there is a macro between the two
        assert whole in secrets or (f"object.spec.?{'.?'.join(way)}." in secrets and f".?{last}.?name" in secrets), (
            place
        )


def test_an_operator_for_some_namespaces_has_no_permission_elsewhere(helm: Helm) -> None:
    objects = helm.template("--values", str(CHART / "ci" / "namespaced-values.yaml"))
    assert of_kind(objects, "ClusterRole") == of_kind(objects, "ClusterRoleBinding") == []
    placed = {obj["metadata"]["namespace"] for obj in of_kind(objects, "Role")}
    assert placed == {"team-a", "team-b", "mcppool-system"}


def test_no_rule_has_a_wildcard_and_secrets_are_never_listed(helm: Helm) -> None:
    for role in [obj for obj in helm.template() if obj["kind"] in ("ClusterRole", "Role")]:
        for rule in role["rules"]:
            assert "*" not in [*rule["apiGroups"], *rule["resources"], *rule["verbs"]]
            if "secrets" in rule["resources"]:
                assert rule["verbs"] == ["create"], "and none is ever read"


def test_the_lease_is_the_only_one_that_the_operator_may_touch(helm: Helm) -> None:
    objects = helm.template("--set", "fullnameOverride=pools")
    (role,) = [obj for obj in of_kind(objects, "Role") if obj["metadata"]["name"] == "pools-election"]
    named = [rule for rule in role["rules"] if rule["verbs"] != ["create"]]
    assert [rule["resourceNames"] for rule in named] == [["pools"]]
    assert "--lease-name=pools" in operator_arguments(objects)


@pytest.mark.parametrize(
    ("setting", "word"),
    [
        ("replicaCunt=1", "replicaCunt"),
        ('image={"operator":{"tagg":"1"}}', "tagg"),
        ('operator={"logLevel":"loud"}', "logLevel"),
        ('replicaCount="two"', "replicaCount"),
        ('watchNamespaces="team-a"', "watchNamespaces"),
        ('watchNamespaces=["Team A"]', "watchNamespaces"),
        ('serviceMonitor={"interval":"often"}', "interval"),
        ('probes={"startup":{"period":1}}', "period"),
        ('podDisruptionBudget={"maxUnavailable":"half"}', "maxUnavailable"),
    ],
)
def test_a_value_that_is_mistyped_is_refused_by_name(helm: Helm, setting: str, word: str) -> None:
    assert word in helm.refusal(setting)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        (['leaderElection={"leaseDuration":10}'], "leaseDuration must be longer than leaderElection.renewDeadline"),
        (['leaderElection={"retryPeriod":10}'], "renewDeadline must be longer than leaderElection.retryPeriod"),
        (['serviceAccount={"create":false}'], "serviceAccount.name is required"),
        (['watchNamespaces=["a","a"]'], "names a namespace twice"),
        (['updateStrategy={"type":"Recreate"}'], "rollingUpdate must be null"),
    ],
)
def test_values_that_contradict_each_other_are_refused_with_the_reason(
    helm: Helm, settings: list[str], words: str
) -> None:
    assert words in helm.refusal(*settings)


def test_the_notes_warn_where_the_cluster_does_not_know_the_resource(helm: Helm) -> None:
    def notes(*arguments: str) -> str:
        done = helm.run("install", "mcppool", str(CHART), "--dry-run=client", *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout.partition("NOTES:")[2]

    assert "kubectl apply --server-side -f crds/" in notes()


@pytest.mark.parametrize(
    ("settings", "authentication"),
    [((), "None"), (("--set", "admissionPolicy.requireAuthentication=true,watchNamespaces={team-a}"), "APIKeys")],
)
def test_the_pool_of_the_notes_is_one_that_this_installation_accepts(
    helm: Helm, settings: tuple[str, ...], authentication: str
) -> None:
    done = helm.run("install", "mcppool", str(CHART), "--dry-run=client", *settings)
    assert done.returncode == 0, done.stderr
    command, _, rest = done.stdout.partition("NOTES:")[2].partition("<<POOL\n")
    pool = yaml.safe_load(textwrap.dedent(rest.partition("  POOL\n")[0]))
    pool["metadata"] |= {"namespace": "team-a", "generation": 1}
    read_resource(pool)
    assert pool["spec"]["auth"]["inbound"]["type"] == authentication
    assert ("--namespace team-a" in command) == bool(settings)


def test_the_schema_knows_every_value_and_every_value_passes_it() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text())
    jsonschema.Draft7Validator.check_schema(schema)
    defaults = yaml.safe_load((CHART / "values.yaml").read_text())
    jsonschema.validate(defaults, schema)
    assert set(schema["properties"]) - {"global"} == set(defaults)
    for path in VALUES:
        jsonschema.validate(yaml.safe_load(path.read_text()) or {}, schema)


def test_the_readme_is_made_from_the_values() -> None:
    """UPDATE_GOLDEN=1 makes it anew."""
    text = readme((CHART / "values.yaml").read_text())
    if os.environ.get("UPDATE_GOLDEN") == "1":
        (CHART / "README.md").write_text(text)
    assert text == (CHART / "README.md").read_text()


LISTED = ("  type: RollingUpdate", "  rollingUpdate: {maxSurge: 1, maxUnavailable: 0}")
"""Values whose description is above the whole section."""


def test_every_value_has_a_description() -> None:
    lines = (CHART / "values.yaml").read_text().splitlines()
    for number, line in enumerate(lines):
        key, colon, rest = line.partition(":")
        has_value = colon and (rest.strip() or not lines[number + 1].startswith(" "))
        listed = line.startswith("    cpu") or "memory" in key or line in LISTED
        if has_value and not line.strip().startswith("#") and not listed:
            above = [entry.strip() for entry in lines[max(0, number - 3) : number]]
            assert any(entry.startswith("# --") for entry in above), f"values.yaml:{number + 1}: {line}"


def test_the_program_of_helm_test_is_python_and_looks_at_the_operators_own_service(helm: Helm) -> None:
    objects = helm.template()
    found = {pod["metadata"]["name"]: pod for pod in of_kind(objects, "Pod")}
    pod, caller = found["mcppool-test"], found["test-mcppool"]
    (container,) = caller["spec"]["containers"]
    compile(container["command"][2], "the call of helm test", "exec")
    (container,) = pod["spec"]["containers"]
    compile(container["command"][2], "helm test", "exec")
    (service,) = of_kind(objects, "Service")
    assert container["env"][0]["value"].split(".")[:2] == [
        service["metadata"]["name"],
        service["metadata"]["namespace"],
    ]
    assert pod["metadata"]["labels"].items() >= {"app.kubernetes.io/component": "test"}.items()
    assert not pod["metadata"]["labels"].items() >= service["spec"]["selector"].items()


def test_the_chart_makes_no_pool_and_no_crd(helm: Helm, values: Path) -> None:
    objects = helm.template("--values", str(values))
    assert not of_kind(objects, "CustomResourceDefinition")
    pools = of_kind(objects, "McpServerPool")
    assert [pool["metadata"]["annotations"]["helm.sh/hook"] for pool in pools] == ["test"] * len(pools)


def test_the_pool_of_helm_test_is_one_that_the_operator_looks_after(helm: Helm) -> None:
    def made(*settings: str) -> dict[str, Any]:
        (pool,) = of_kind(helm.template(*settings), "McpServerPool")
        read_resource(pool)
        return pool

    assert made()["metadata"]["namespace"] == "mcppool-system"
    assert made("--set", "watchNamespaces={team-a,team-b}")["metadata"]["namespace"] == "team-a"
    assert made("--set", "operator.class=blue")["spec"]["operatorClass"] == "blue"
    assert len(made("--set", f"fullnameOverride={'a' * 50}")["metadata"]["name"]) <= 50
    assert not of_kind(helm.template("--set", "test.call=false"), "McpServerPool")


def test_the_server_of_helm_test_speaks_mcp() -> None:
    requests = [
        {"jsonrpc": "2.0", "id": 1, "method": "server/discover"},
        {"jsonrpc": "2.0", "id": 2, "method": "initialize", "params": {"protocolVersion": "2025-11-25"}},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 3, "method": "tools/call", "params": {"name": "hello"}},
    ]
    done = subprocess.run(
        [sys.executable, CHART / "files" / "test_server.py"],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True, text=True, timeout=120, check=True,
    )  # fmt: skip
    unknown, hello, called = map(json.loads, done.stdout.splitlines())
    assert unknown["error"]["code"] == -32601
    assert hello["result"]["protocolVersion"] == "2025-11-25"
    assert called["result"]["content"][0]["text"] == "hello"
