"""The CRD in a real API server: its defaults, its refusals and their words, the columns of kubectl."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from mcppool.spec.resource import read_resource
from mcppool_operator.resources import POOL
from tests.kube.administrator import Administrator, refused
from tests.kube.control_plane import Cluster

SERVICE_SOURCE = {"type": "Service", "service": {"name": "tools", "port": "http"}}
AUTH = {"inbound": {"type": "None"}}


def managed(**content: Any) -> dict[str, Any]:
    return {"type": "Managed", "managed": {"image": "example.com/server:1", "port": 8000, **content}}


def pool(admin: Administrator, name: str = "search", **spec: Any) -> dict[str, Any]:
    return admin.here(POOL, name, spec={"source": SERVICE_SOURCE, "auth": AUTH, **spec})


async def create(admin: Administrator, obj: dict[str, Any]) -> None:
    await admin.api.create(POOL, obj)


async def test_defaults_are_filled_in_where_everyone_can_see_them(admin: Administrator) -> None:
    await admin.put(pool(admin))
    spec = (await admin.get(POOL, "search"))["spec"]
    assert "replicas" not in spec["gateway"]
    assert spec["source"]["service"]["path"] == "/mcp"
    assert spec["loadBalancer"]["strategy"] == "LeastConnections"
    assert spec["timeouts"]["drain"] == "30s"


async def test_defaults_of_the_api_server_equal_those_of_the_models(admin: Administrator) -> None:
    written = pool(admin)
    await admin.put(written)
    stored = read_resource(await admin.get(POOL, "search"))
    assert stored.pool == read_resource(written).pool
    assert stored.gateway == read_resource(written).gateway


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"source": {"type": "Service"}}, "service must be set if and only if type is Service"),
        (
            {"source": {**SERVICE_SOURCE, "static": {"endpoints": [{"url": "http://a/mcp"}]}}},
            "static must be set if and only if type is Static",
        ),
        (
            {"connectionPool": {"minConnections": 9, "maxConnections": 3}},
            "minConnections must not exceed maxConnections",
        ),
        ({"sessions": {"store": "Redis"}}, "cache.redisURL must be set if sessions.store is Redis"),
        ({"rateLimit": {"store": "Redis"}, "cache": {}}, "cache.redisURL must be set if rateLimit.store is Redis"),
        ({"timeouts": {"request": "soon"}}, "spec.timeouts.request"),
        ({"timeouts": {"request": 5}}, "must be of type string"),
        ({"loadBalancer": {"strategy": "Fibonacci"}}, "Unsupported value"),
        ({"gateway": {"replicas": -1}}, "should be greater than or equal to 0"),
        ({"gateway": {"replicas": 0, "autoscaling": {"maxReplicas": 3}}}, "replicas, autoscaling exclude each other"),
        ({"gateway": {"autoscaling": {"minReplicas": 4, "maxReplicas": 3}}}, "must not exceed maxReplicas"),
        ({"gateway": {"networkPolicy": {"clients": [{}]}}}, "podSelector or namespaceSelector must be set"),
        ({"auth": {}}, "spec.auth.inbound: Required value"),
        ({"source": {"type": "Static", "static": {"endpoints": [{"url": "not a url"}]}}}, "endpoints[0].url"),
        ({"gateway": {"route": {"type": "HTTPRoute", "hostnames": ["a.b"]}}}, "parentRefs belong to type HTTPRoute"),
        (
            {"gateway": {"route": {"type": "Ingress", "hostnames": ["a.b"], "parentRefs": [{"name": "x"}]}}},
            "parentRefs belong to type HTTPRoute",
        ),
        ({"gateway": {"route": {"type": "Ingress", "hostnames": []}}}, "should have at least 1 items"),
        ({"gateway": {"tls": {"certificateSecretRef": {"name": "a", "key": "b"}}}}, "keySecretRef: Required value"),
        ({"gateway": {"service": {"port": 0}}}, "should be greater than or equal to 1"),
        ({"source": {"type": "Managed"}}, "managed must be set if and only if type is Managed"),
        ({"source": managed(port=None)}, "port must be set, since transport is HTTP"),
        ({"source": managed(transport="Stdio", command=["x"])}, "port and path may be set only if transport is HTTP"),
        ({"source": managed(transport="Stdio", port=None)}, "command must be set, since transport is Stdio"),
        ({"source": managed(maxProcesses=3)}, "maxProcesses may be set only if transport is Stdio"),
        ({"source": managed(transport="Pigeon")}, 'supported values: "HTTP", "Stdio"'),
        ({"source": managed(port=0)}, "should be greater than or equal to 1"),
        ({"source": managed(replicas=1, autoscaling={"maxReplicas": 2})}, "replicas, autoscaling exclude each other"),
        ({"source": managed(env=[{"name": "A"}])}, "exactly one of value, secretRef must be set"),
        ({"source": managed(env=[{"name": "A", "valueFrom": {}}])}, '"valueFrom" cannot be set'),
        (
            {"source": managed(volumeMounts=[{"name": "a", "mountPath": "/x"}])},
            "each of volumeMounts must be one of podTemplate.spec.volumes",
        ),
        (
            {"source": managed(podTemplate={"spec": {"containers": [{"name": "x"}]}})},
            '"containers" cannot be set: `managed` describes the one container',
        ),
        ({"source": managed(podTemplate={"spec": {"hostNetwork": True}})}, '"hostNetwork" cannot be set'),
        ({"source": {"type": "Pods", "pods": {"selector": {}, "port": 80}}}, "should have at least 1 properties"),
        ({"cache": {"redisURL": "unix:///run/redis.sock"}}, "spec.cache.redisURL"),
        ({"cache": {"type": "SQL"}}, "sqlURL must be set if type is SQL"),
        (
            {
                "cache": {
                    "type": "SQL",
                    "sqlURL": "postgresql://db/x?sslmode=prefer",
                    "sqlCaSecretRef": {"name": "db", "key": "ca"},
                }
            },
            "sqlCaSecretRef excludes sslmode",
        ),
        ({"cache": {"type": "SQL", "sqlURL": "sqlite:///tmp/answers"}}, "spec.cache.sqlURL"),
        ({"tls": {"caSecretRef": {"name": "tls"}}}, "spec.tls.caSecretRef.key: Required value"),
        ({"tls": {"caSecretRef": {"name": "tls", "key": "../token"}}}, "spec.tls.caSecretRef.key"),
        (
            {"gateway": {"resources": {"requests": {"memory": "1Gi"}, "limits": {"memory": "512Mi"}}}},
            "a request must not exceed the limit of the same name",
        ),
    ],
)
async def test_contradictions_are_refused_in_words(admin: Administrator, spec: dict[str, Any], words: str) -> None:
    assert words in await refused(create(admin, pool(admin, **spec)))


def contains(whole: dict[str, Any], part: dict[str, Any]) -> bool:
    """Whether `whole` has all members of `part`, at each level."""
    return all(
        contains(whole[name], value) if isinstance(value, dict) else whole[name] == value
        for name, value in part.items()
    )


@pytest.mark.parametrize(
    "spec",
    [
        {"limits": {"endpoint": {"maxConcurrent": "auto"}}},
        {"limits": {"endpoint": {"maxConcurrent": "auto", "maxQueue": 7}}},
        {"limits": {"endpoint": {"maxConcurrent": 1}}},
        {"limits": {"endpoint": {"maxConcurrent": 1000000}}},
        {"outlierDetection": {"suspectAfter": "auto"}},
        {"outlierDetection": {"suspectAfter": "2s"}},
        {"retryPolicy": {"hedgeAfter": "auto"}},
        {"retryPolicy": {"hedgeAfter": "250ms"}},
    ],
    ids=str,
)
async def test_a_value_that_may_be_learned_is_stored_as_written_and_read_as_in_a_file(
    admin: Administrator, spec: dict[str, Any]
) -> None:
    written = pool(admin, **spec)
    await admin.put(written)
    stored = await admin.get(POOL, "search")
    assert contains(stored["spec"], spec)
    assert read_resource(stored).pool == read_resource(written).pool


@pytest.mark.parametrize("value", [0, 1000001, "5", "automatic", "Auto", "", True, 1.5])
async def test_another_limit_of_an_endpoint_is_refused_with_the_allowed_values(
    admin: Administrator, value: object
) -> None:
    why = await refused(create(admin, pool(admin, limits={"endpoint": {"maxConcurrent": value}})))
    assert "spec.limits.endpoint.maxConcurrent" in why
    assert "must be from 1 to 1000000, or auto" in why or "must be of type integer,string" in why


@pytest.mark.parametrize("section", ["pool", "principal", "tool"])
async def test_only_the_limit_of_an_endpoint_may_be_learned(admin: Administrator, section: str) -> None:
    why = await refused(create(admin, pool(admin, limits={section: {"maxConcurrent": "auto"}})))
    assert f"spec.limits.{section}.maxConcurrent" in why


async def test_a_pools_name_leaves_room_for_those_of_its_children(admin: Administrator) -> None:
    await admin.put(pool(admin, "a" * 50))
    assert "50 characters" in await refused(create(admin, pool(admin, "a" * 51)))


async def test_kubectl_explains_the_fields(kube: Cluster) -> None:
    assert "Number of gateways" in kube.kubectl_says("explain", "mcppool.spec.gateway.replicas")
    assert "URL for MCP clients" in kube.kubectl_says("explain", "mcppool.status.url")


async def test_kubectl_lists_pools_with_their_key_figures(admin: Administrator, kube: Cluster) -> None:
    await admin.put(pool(admin))
    heading, line = kube.kubectl_says("get", "mcppool", f"--namespace={admin.namespace}").splitlines()
    assert heading.split()[:5] == ["NAME", "READY", "ENDPOINTS", "GATEWAYS", "URL"]
    assert line.split()[0] == "search"


def templated(spec: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    return {"gateway": {"podTemplate": {"spec": spec or {}, **({"metadata": metadata} if metadata else {})}}}


def container(**content: Any) -> dict[str, Any]:
    return {"containers": [{"name": "gateway", **content}]}


SCRATCH = {"volumes": [{"name": "scratch", "emptyDir": {}}]}


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            templated({"serviceAccountName": "admin"}),
            '"serviceAccountName" cannot be set: gateways have their own account',
        ),
        (templated({"serviceAccount": "admin"}), '"serviceAccount" cannot be set'),
        (templated({"automountServiceAccountToken": True}), '"automountServiceAccountToken" cannot be set'),
        (templated({"hostNetwork": True}), '"hostNetwork" cannot be set: gateways have no access to their node'),
        (templated({"hostPID": True}), '"hostPID" cannot be set'),
        (templated({"nodeName": "n"}), '"nodeName" cannot be set'),
        (templated({"initContainers": [{"name": "a", "image": "b"}]}), '"initContainers" cannot be set'),
        (templated({"containers": [{"name": "sidecar"}]}), "spec.gateway.podTemplate.spec.containers[0].name"),
        (templated(container(image="mine")), '"image" cannot be set'),
        (templated(container(command=["sh"])), '"command" cannot be set'),
        (templated(container(securityContext={"privileged": True})), '"securityContext" cannot be set'),
        (templated(container(envFrom=[{"secretRef": {"name": "a"}}])), '"envFrom" cannot be set'),
        (templated(container(env=[{"name": "A", "valueFrom": {}}])), '"valueFrom" cannot be set'),
        (templated(container(env=[{"name": "LD_PRELOAD", "value": "x"}])), "it would change the program"),
        (templated({"volumes": [{"name": "a", "hostPath": {"path": "/"}}]}), '"hostPath" cannot be set'),
        (templated({"volumes": [{"name": "a", "secret": {"secretName": "b"}}]}), '"secret" cannot be set'),
        (templated({"volumes": [{"name": "a", "projected": {}}]}), '"projected" cannot be set'),
        (templated({"volumes": [{"name": "a"}]}), "exactly one of emptyDir, downwardAPI must be set"),
        (templated({"volumes": [{"name": "keys", "emptyDir": {}}]}), "the operator has a volume of that name"),
        (
            templated(container(volumeMounts=[{"name": "nowhere", "mountPath": "/mnt/a"}])),
            "each name in containers.volumeMounts must be one of volumes",
        ),
        (
            templated({**SCRATCH, **container(volumeMounts=[{"name": "scratch", "mountPath": "/opt/mcppool"}])}),
            "volumeMounts[0].mountPath",
        ),
        (templated({"securityContext": {"runAsUser": 0}}), "should be greater than or equal to 1"),
        (templated({"securityContext": {"sysctls": []}}), '"sysctls" cannot be set'),
        (
            templated({"tolerations": [{"operator": "Equal", "value": "a"}]}),
            "operator must be Exists if key is not set",
        ),
        (templated(labels={"app.kubernetes.io/instance": "x"}), "labels must not be any of app.kubernetes.io/"),
        (templated(annotations={"mcppool.dev/applied": "x"}), "annotations must not be any of mcppool.dev/"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_pod_template_gives_an_author_nothing_that_they_had_not(
    admin: Administrator, spec: dict[str, Any], words: str
) -> None:
    assert words in await refused(create(admin, pool(admin, **spec)))


async def test_kubectl_refuses_an_unknown_field_of_pods(admin: Administrator, kube: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(yaml.safe_dump(pool(admin, **templated({"hostFoo": True}))))
    with pytest.raises(AssertionError, match="unknown field"):
        kube.kubectl_says("apply", f"--filename={path}")


async def test_permitted_fields_of_pods_are_stored_and_read_unchanged(
    admin: Administrator, kube: Cluster, tmp_path: Path
) -> None:
    """By kubectl, twice, because its second apply is a patch with the fields that the first one wrote."""
    spec = {
        **SCRATCH,
        **container(
            env=[{"name": "A", "value": "1"}],
            volumeMounts=[{"name": "scratch", "mountPath": "/mnt/scratch"}],
            resources={"limits": {"memory": "1Gi"}},
        ),
        "nodeSelector": {"disk": "ssd"},
        "tolerations": [{"key": "a", "operator": "Exists", "effect": "NoSchedule"}],
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {
                    "nodeSelectorTerms": [{"matchExpressions": [{"key": "a", "operator": "In", "values": ["b"]}]}]
                }
            }
        },
        "priorityClassName": "system-cluster-critical",
        "topologySpreadConstraints": [
            {"maxSkew": 1, "topologyKey": "zone", "whenUnsatisfiable": "DoNotSchedule", "minDomains": 2}
        ],
        "securityContext": {"runAsUser": 1000, "fsGroup": 1000},
        "terminationGracePeriodSeconds": 90,
    }
    written = pool(admin, **templated(spec, labels={"team": "a"}, annotations={"example.com/mesh": "off"}))
    path = tmp_path / "pool.yaml"
    for node in ({"disk": "ssd"}, {"disk": "hdd"}):
        spec["nodeSelector"] = node
        path.write_text(yaml.safe_dump(written))
        kube.kubectl_says("apply", f"--filename={path}")
        stored = await admin.get(POOL, "search")
        assert read_resource(stored).gateway == read_resource(written).gateway
    # Fields that kubectl writes as null, because they are no longer in the file, are gone.
    del spec["nodeSelector"]
    path.write_text(yaml.safe_dump(written))
    kube.kubectl_says("apply", f"--filename={path}")
    assert "nodeSelector" not in (await admin.get(POOL, "search"))["spec"]["gateway"]["podTemplate"]["spec"]


async def test_a_null_in_a_pod_template_is_no_value_to_kubectl_and_refused_by_name_on_the_server(
    admin: Administrator, kube: Cluster, tmp_path: Path
) -> None:
    path = tmp_path / "pool.yaml"
    path.write_text(yaml.safe_dump(pool(admin, **templated({"nodeSelector": None}))))
    with pytest.raises(AssertionError, match=r"spec\.gateway\.podTemplate\.spec\.nodeSelector"):
        kube.kubectl_says("apply", "--server-side", f"--filename={path}")
    kube.kubectl_says("apply", f"--filename={path}")
    stored = await admin.get(POOL, "search")
    assert read_resource(stored).gateway == read_resource(pool(admin)).gateway
