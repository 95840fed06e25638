"""Where a pool's endpoints come from, in a real cluster: labels of pods, servers that the operator runs, addresses."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcppool_operator.pods import DELETION_COST
from mcppool_operator.resources import AUTOSCALER, CONFIG_MAP, DEPLOYMENT, DISRUPTION_BUDGET, POD, POOL, SERVICE
from tests.kube.administrator import NAMESPACE, Administrator, conditions
from tests.kube.control_plane import Cluster
from tests.kube.gateway_pods import gateway_pods, wait_for_pods
from tests.kube.operator_process import Operator
from tests.kube.pool_objects import CONFIG, endpoints, published, replicas, url

SERVER = "search-mcp-server"


def managed(**content: Any) -> dict[str, Any]:
    return {"type": "Managed", "managed": {"image": "example.com/server:1", "port": 8000, **content}}


async def started(admin: Administrator, pod: str, address: str) -> None:
    """Act as scheduler and kubelet for a pod."""
    await admin.place(pod)
    await admin.become_ready(pod, address)


async def restrict(admin: Administrator) -> None:
    """Let the namespace take only pods that meet the Pod Security Standard *restricted*."""
    restricted = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    await admin.call("PATCH", NAMESPACE.path(None, admin.namespace), restricted, "application/merge-patch+json")


async def test_pods_are_found_by_their_labels(operator: Operator, admin: Administrator) -> None:
    await admin.server("10.1.0.1", app="mine")
    await admin.server("10.1.0.2", app="theirs")
    await admin.pool(source={"type": "Pods", "pods": {"selector": {"app": "mine"}, "port": 8000}})
    await published(admin, "10.1.0.1")
    await admin.server("10.1.0.3", app="mine")
    await published(admin, "10.1.0.1", "10.1.0.3")
    await admin.delete(SERVICE, "search-mcp-pods")
    await admin.until(SERVICE, "search-mcp-pods", bool, "the Service that finds them is made again")
    await published(admin, "10.1.0.1", "10.1.0.3")


async def test_a_dual_stack_service_gives_its_pods_addresses_of_its_first_family(
    operator: Operator, admin: Administrator
) -> None:
    port = {"name": "http", "port": 80, "targetPort": 8000}
    families = {"ipFamilyPolicy": "RequireDualStack", "ipFamilies": ["IPv6", "IPv4"]}
    await admin.put(admin.here(SERVICE, "tools", spec={"selector": {"app": "tools"}, "ports": [port], **families}))
    await admin.server("10.1.0.1", "fd00::1")
    await admin.pool()
    await published(admin, "[fd00::1]")
    await admin.server("10.1.0.2", "fd00::2")
    await published(admin, "[fd00::1]", "[fd00::2]")


async def test_a_selector_that_finds_the_pools_own_gateways_is_refused(
    operator: Operator, admin: Administrator
) -> None:
    await admin.pool(source={"type": "Static", "static": {"endpoints": [{"url": url("10.1.0.1")}]}})
    pods = await wait_for_pods(admin, 2)
    await started(admin, pods[0], "10.1.0.9")
    labels = {"app.kubernetes.io/instance": "search", "app.kubernetes.io/component": "gateway"}
    await admin.pool(source={"type": "Pods", "pods": {"selector": labels, "port": 8080}})
    message = await admin.pool_says("ResolvedRefs", "False", "SourceIsGateway")
    assert "would call themselves" in message
    await admin.pool_says("Stalled", "True", "SourceIsGateway")
    assert set(endpoints(await admin.get(CONFIG_MAP, CONFIG))) == {url("10.1.0.1")}


async def test_a_program_on_standard_streams_is_a_pool_in_one_object(operator: Operator, admin: Administrator) -> None:
    await restrict(admin)
    stdio = {
        "image": "example.com/tools:1",
        "transport": "Stdio",
        "command": ["npx", "-y", "some-server"],
        "replicas": 2,
    }
    await admin.pool(source={"type": "Managed", "managed": stdio})
    for number, pod in enumerate(await wait_for_pods(admin, 2, component="server"), 1):
        await started(admin, pod, f"10.1.0.{number}")
    await admin.until(
        CONFIG_MAP,
        CONFIG,
        lambda found: found and set(endpoints(found)) == {f"http://10.1.0.{number}:8080/mcp" for number in (1, 2)},
        "the adapters are the endpoints",
    )
    pod = (await admin.get(DEPLOYMENT, SERVER))["spec"]["template"]["spec"]
    (container,), (copying,) = pod["containers"], pod["initContainers"]
    assert (container["image"], copying["args"]) == ("example.com/tools:1", ["adapter", "--into", "/.mcppool"])
    assert container["args"][-4:] == ["--", "npx", "-y", "some-server"]
    await admin.pool(source=managed(replicas=2))
    await admin.until(
        DEPLOYMENT,
        SERVER,
        lambda found: found and "initContainers" not in found["spec"]["template"]["spec"],
        "a server that speaks HTTP has no adapter",
    )
    (container,) = (await admin.get(DEPLOYMENT, SERVER))["spec"]["template"]["spec"]["containers"]
    assert [port["name"] for port in container["ports"]] == ["mcp"]
    assert "command" not in container
    assert "httpGet" not in container["readinessProbe"]


async def test_servers_that_the_operator_runs_are_a_pool_in_one_object(
    operator: Operator, admin: Administrator
) -> None:
    await restrict(admin)
    env = [{"name": "TOKEN", "secretRef": {"name": "upstream", "key": "token"}}]
    await admin.pool(source=managed(replicas=2, env=env))
    pods = await wait_for_pods(admin, 2, component="server")
    for number, pod in enumerate(pods, 1):
        await started(admin, pod, f"10.1.0.{number}")
    await published(admin, "10.1.0.1", "10.1.0.2")
    found = await admin.get(DEPLOYMENT, SERVER)
    (container,) = found["spec"]["template"]["spec"]["containers"]
    assert {"name": "TOKEN", "valueFrom": {"secretKeyRef": {"name": "upstream", "key": "token"}}} in container["env"]
    assert container["lifecycle"]["preStop"]["sleep"]["seconds"] == 30
    assert found["spec"]["template"]["spec"]["automountServiceAccountToken"] is False
    await wait_for_pods(admin, 2)
    for kind in (DEPLOYMENT, SERVICE, DISRUPTION_BUDGET):
        uid = (await admin.until(kind, SERVER, bool, f"{kind.kind} is there"))["metadata"]["uid"]
        await admin.delete(kind, SERVER)
        await admin.until(
            kind, SERVER, lambda found, uid=uid: found and found["metadata"]["uid"] != uid, f"{kind.kind} is made again"
        )
    await admin.delete(POOL, "search")
    for kind in (DEPLOYMENT, SERVICE, DISRUPTION_BUDGET):
        await admin.until(kind, SERVER, lambda found: found is None, f"{kind.kind} goes with the pool")


async def test_servers_that_do_not_start_are_reported_with_their_causes(
    operator: Operator, admin: Administrator
) -> None:
    await admin.pool(source=managed())
    (pod,) = await wait_for_pods(admin, 1, component="server")
    waiting = {"reason": "ErrImagePull", "message": "no such image"}
    container = {"name": "server", "image": "x", "imageID": "", "ready": False, "restartCount": 0}
    status = {"phase": "Pending", "containerStatuses": [{**container, "state": {"waiting": waiting}}]}
    await admin.merge(POD, pod, {"status": status}, "status")
    await admin.until(
        POOL,
        "search",
        lambda found: f"{pod}: ErrImagePull (no such image)" in str(conditions(found).get("EndpointsAvailable")),
        "the pool says so",
    )
    assert "ErrImagePull" in conditions(await admin.get(POOL, "search"))["Ready"][2]


@pytest.mark.parametrize("content", [{}, {"autoscaling": {"minReplicas": 1, "maxReplicas": 6}}], ids=["plain", "hpa"])
async def test_a_number_of_servers_that_the_pool_does_not_give_is_never_written(
    operator: Operator, admin: Administrator, content: dict[str, Any]
) -> None:
    await admin.pool(source=managed(**content))
    await admin.until(DEPLOYMENT, SERVER, lambda found: replicas(found) == 1, "one to begin with")
    if content:
        await admin.until(AUTOSCALER, SERVER, bool, "the autoscaler is there")
    await admin.merge(DEPLOYMENT, SERVER, {"spec": {"replicas": 4}}, "scale")
    await admin.pool(source=managed(**content, args=["--changed"]))
    found = await admin.until(
        DEPLOYMENT,
        SERVER,
        lambda found: found["spec"]["template"]["spec"]["containers"][0].get("args") == ["--changed"],
        "the change has arrived",
    )
    assert replicas(found) == 4


async def test_the_type_of_a_source_can_be_changed_and_at_no_time_is_nobody_published(
    operator: Operator, admin: Administrator
) -> None:
    await admin.pool(source=managed(replicas=1))
    (pod,) = await wait_for_pods(admin, 1, component="server")
    await started(admin, pod, "10.1.0.1")
    await published(admin, "10.1.0.1")
    # To a Service that does not exist, then has no ready endpoint, then has one.
    await admin.pool()
    await admin.pool_says("ResolvedRefs", "False", "ServiceNotFound")
    assert await admin.get(DEPLOYMENT, SERVER), "those who answer are kept"
    await admin.service()
    await admin.pool_says("ResolvedRefs", "True", "ResolvedRefs")
    await admin.pool_says("EndpointsAvailable", "False", "NoEndpoints")
    assert set(endpoints(await admin.get(CONFIG_MAP, CONFIG))) == {url("10.1.0.1")}
    assert await admin.get(DEPLOYMENT, SERVER)
    await admin.server("10.1.0.2")
    await published(admin, "10.1.0.2")
    for kind in (DEPLOYMENT, SERVICE, DISRUPTION_BUDGET):
        await admin.until(kind, SERVER, lambda found: found is None, f"{kind.kind} is gone")
    # And back again, which waits for the server that is started for it.
    await admin.pool(source=managed(replicas=1))
    await admin.until(DEPLOYMENT, SERVER, bool, "the servers are there again")
    (new,) = await wait_for_pods(admin, 1, component="server", without=pod)
    assert set(endpoints(await admin.get(CONFIG_MAP, CONFIG))) == {url("10.1.0.2")}
    await started(admin, new, "10.1.0.3")
    # The pod of before is still going, as far as this cluster without kubelets can tell.
    await admin.until(
        CONFIG_MAP, CONFIG, lambda found: endpoints(found).get(url("10.1.0.3")) is False, "the new server is published"
    )


async def test_all_settings_of_an_address_are_published(operator: Operator, admin: Administrator) -> None:
    entry = {"url": "https://10.9.0.1:8000/mcp", "host": "search.internal", "priority": 2, "weight": 7, "zone": "a"}
    await admin.pool(source={"type": "Static", "static": {"endpoints": [entry]}})
    found = await admin.until(CONFIG_MAP, CONFIG, bool, "the snapshot is there")
    (written,) = json.loads(found["data"]["snapshot.json"])["pools"][0]["endpoints"]
    assert {name: written[name] for name in entry} == entry


async def test_the_server_with_the_fewest_sessions_goes_first(
    installed: Cluster, operator: Operator, admin: Administrator
) -> None:
    await admin.pool(source=managed(replicas=3))
    servers = await wait_for_pods(admin, 3, component="server")
    for number, pod in enumerate(servers, 1):
        await started(admin, pod, f"10.1.0.{number}")
    await published(admin, "10.1.0.1", "10.1.0.2", "10.1.0.3")
    busiest = url("10.1.0.3")
    async with gateway_pods(installed, admin) as gateways:
        for gateway in gateways:
            gateway.sessions = {url("10.1.0.1"): 2, url("10.1.0.2"): 0, busiest: 50}
        await looked_at(admin)
        await admin.until(POD, servers[2], lambda pod: deletion_cost(pod) == "96", "100 sessions are written as 96")
        await admin.until(POD, servers[0], lambda pod: deletion_cost(pod) == "4", "4 sessions are written as they are")
        before = await versions(admin, servers)
        for gateway in gateways:
            gateway.sessions[busiest] = 51
        await looked_at(admin)
        assert await versions(admin, servers) == before
    await admin.merge(POOL, "search", {"spec": {"source": {"managed": {"replicas": 2}}}})
    await admin.until(POD, servers[1], leaving, "the server without sessions is being deleted")
    assert [leaving(await admin.get(POD, pod)) for pod in servers] == [False, True, False]


def deletion_cost(pod: Any) -> str | None:
    """The operator's annotation of a pod; None if it has written none."""
    return (pod["metadata"].get("annotations") or {}).get(DELETION_COST)


def leaving(pod: Any) -> bool:
    return "deletionTimestamp" in pod["metadata"]


async def versions(admin: Administrator, pods: list[str]) -> list[str]:
    """The versions of pods; each write makes a new one."""
    return [(await admin.get(POD, pod))["metadata"]["resourceVersion"] for pod in pods]


async def looked_at(admin: Administrator) -> None:
    """Have the operator ask all gateways once more, by a change of policy, and wait until it has."""
    pool = await admin.get(POOL, "search")
    old = ((pool.get("status") or {}).get("config") or {}).get("hash")
    silence = f"{20 + pool['metadata']['generation']}s"
    await admin.merge(POOL, "search", {"spec": {"timeouts": {"keepAlive": silence}}})
    await admin.until(
        POOL,
        "search",
        lambda found: (
            found["status"]["config"]["hash"] != old
            and conditions(found)["Programmed"][0] == "True"
            and found["status"]["gateway"]["syncedReplicas"] == 2
        ),
        "the gateways have been asked",
    )
