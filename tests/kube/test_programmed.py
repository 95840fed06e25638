"""Whether the gateways have the published snapshot: asked of them, never assumed."""

from __future__ import annotations

from typing import Any

from mcppool.policy.tool_differences import NO_DIFFERENCES, ToolDifference, ToolDifferences
from mcppool_operator.resources import DEPLOYMENT, POD, POOL
from tests.kube.administrator import Administrator, conditions
from tests.kube.control_plane import Cluster
from tests.kube.gateway_pods import gateway_pods, wait_for_pods
from tests.kube.operator_process import Operator


async def start(admin: Administrator) -> None:
    await admin.service()
    await admin.server("10.1.0.1")
    await admin.pool()
    await admin.until(DEPLOYMENT, "search-mcp-gateway", bool, "the Deployment is there")


async def look_again(admin: Administrator, pod: str, note: str) -> None:
    """Change a pod, so that the operator asks the gateways; without a change it asks once a minute."""
    await admin.merge(POD, pod, {"metadata": {"annotations": {"example.com/note": note}}})


def hash_of(pool: Any) -> str:
    return str(pool["status"]["config"]["hash"])


async def test_a_pool_is_programmed_when_its_ready_gateways_say_so_and_stays_so_through_changes(
    operator: Operator, admin: Administrator, kube: Cluster
) -> None:
    await start(admin)
    await admin.pool_says("Programmed", "Unknown", "Pending")
    async with gateway_pods(kube, admin) as gateways:
        await admin.pool_says("Programmed", "True", "Programmed")
        await admin.pool_says("Ready", "True", "Ready")
        pool = await admin.until(
            POOL, "search", lambda found: found["status"]["gateway"]["syncedReplicas"] == 2, "both are in step"
        )
        since = {entry["type"]: entry["lastTransitionTime"] for entry in pool["status"]["conditions"]}
        # Endpoints come and go all day: that must not make the pool look broken each time.
        await admin.server("10.1.0.2")
        changed = await admin.until(
            POOL, "search", lambda found: hash_of(found) != hash_of(pool), "the new configuration shows"
        )
        assert conditions(changed)["Programmed"][:2] == ("True", "Programmed")
        assert {gateway.config().hash for gateway in gateways} == {hash_of(changed)}
        assert {entry["type"]: entry["lastTransitionTime"] for entry in changed["status"]["conditions"]} == since


async def test_a_gateway_that_refuses_the_configuration_is_named(
    operator: Operator, admin: Administrator, kube: Cluster
) -> None:
    await start(admin)
    async with gateway_pods(kube, admin) as (_, stubborn):
        await admin.pool_says("Programmed", "True", "Programmed")
        stubborn.stubborn = True
        await admin.server("10.1.0.2")
        message = await admin.pool_says("Programmed", "False", "Rejected")
        assert "search-mcp-gateway-" in message
        # It accepts the next one, and the operator sees it.
        stubborn.stubborn = False
        await admin.server("10.1.0.3")
        await admin.pool_says("Programmed", "True", "Programmed")


async def test_gateways_that_do_not_answer_are_not_in_step(
    operator: Operator, admin: Administrator, kube: Cluster
) -> None:
    await start(admin)
    async with gateway_pods(kube, admin):
        await admin.pool_says("Programmed", "True", "Programmed")
    # Ready as far as the cluster knows, and gone.
    await admin.server("10.1.0.2")
    message = await admin.pool_says("Programmed", "False", "PartiallySynced")
    assert "0 of 2 ready gateways have the configuration; no answer from search-mcp-gateway-" in message
    await admin.pool_says("Ready", "False", "PartiallySynced")


async def test_a_pool_whose_addresses_nobody_answers_at_is_not_ready(
    operator: Operator, admin: Administrator, kube: Cluster
) -> None:
    await admin.pool(source={"type": "Static", "static": {"endpoints": [{"url": "http://10.9.0.1:8000/mcp"}]}})
    async with gateway_pods(kube, admin) as gateways:
        await admin.pool_says("Ready", "True", "Ready")
        for gateway in gateways:
            gateway.alone = True
        # The gateways are asked again as soon as there is a reason to, such as a change of the pool.
        await admin.pool(
            source={"type": "Static", "static": {"endpoints": [{"url": "http://10.9.0.2:8000/mcp"}]}},
        )
        message = await admin.pool_says("Ready", "False", "NobodyAnswers")
        assert message.endswith("none answers the gateways: none of 1 endpoints can be reached")
        await admin.event("Warning", "NobodyAnswers")
        gateways[0].alone = False  # one that can answer is enough
        await admin.pool_says("Ready", "True", "Ready")


async def test_what_clients_feel_degrades_a_pool_and_their_sessions_show(
    operator: Operator, admin: Administrator, kube: Cluster
) -> None:
    await start(admin)
    pods = await wait_for_pods(admin, 2)

    async with gateway_pods(kube, admin) as (one, other):
        await admin.pool_says("Degraded", "False", "AsExpected")
        await admin.pool_says("Ready", "True", "Ready")
        await admin.until(
            POOL, "search", lambda found: found["status"]["gateway"]["syncedReplicas"] == 2, "both were asked"
        )
        one.sessions = other.sessions = {"http://10.1.0.1:8000/mcp": 3}
        one.calls, other.calls, other.failed_calls = 100, 100, 60
        await look_again(admin, pods[0], "a")
        message = await admin.pool_says("Degraded", "True", "CallsFail")
        assert message == "more than 25% of the calls of clients fail, the last one by no_endpoint"
        await admin.pool_says("Ready", "True", "Ready")
        await admin.event("Warning", "CallsFail")
        row = kube.kubectl_says("get", "mcppool", "search", f"--namespace={admin.namespace}", "-o", "wide")
        head, values = row.splitlines()
        shown = dict(zip(head.split(), values.split(), strict=True))
        assert (shown["READY"], shown["ENDPOINTS"], shown["GATEWAYS"]) == ("True", "1/1", "2")
        assert (shown["SESSIONS"], shown["REASON"]) == ("6", "Ready")
        assert shown["URL"].startswith("http://search-mcp-gateway.")
        one.calls, other.calls = 300, 300
        await look_again(admin, pods[0], "b")
        await admin.pool_says("Degraded", "False", "AsExpected")
        await admin.event("Normal", "AsExpected")


async def test_tools_that_differ_between_replicas_are_a_condition_that_names_tool_and_pod(
    operator: Operator, admin: Administrator, kube: Cluster
) -> None:
    await start(admin)
    pods = await wait_for_pods(admin, 2)

    async with gateway_pods(kube, admin) as (gateway, _):
        await admin.pool_says("Ready", "True", "Ready")
        difference = ToolDifference("add", "http://10.1.0.1:8000/mcp", "missing")
        gateway.tool_differences = ToolDifferences(1, (difference,))
        await look_again(admin, pods[0], "a")
        message = await admin.pool_says("ToolsDiffer", "True", "ReplicasDiffer")
        assert message == (
            '1 tool differs between replicas: "add" is not listed by http://10.1.0.1:8000/mcp (tools-10-1-0-1)'
        )
        await admin.event("Warning", "ReplicasDiffer")
        await admin.pool_says("Ready", "True", "Ready")
        gateway.tool_differences = NO_DIFFERENCES
        await look_again(admin, pods[0], "b")
        await admin.until(POOL, "search", lambda found: "ToolsDiffer" not in conditions(found), "nothing differs")
