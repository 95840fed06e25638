"""Two installations that overlap: each pool has one owner, and never two that fight over it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from mcppool_operator.resources import CONFIG_MAP, DEPLOYMENT, EVENT, POOL
from tests.chart.helm import Helm
from tests.kube.administrator import Administrator
from tests.kube.conftest import PERMISSIONS, operators
from tests.kube.control_plane import AUDIT, WRITES, Cluster
from tests.kube.operator_process import IMPATIENT, Operator
from tests.kube.pool_objects import CONFIG, GATEWAY
from tests.requirements import missing
from tests.waiting import until

OTHER_IMAGE = "--gateway-image=localhost/mcppool-gateway:other"


@asynccontextmanager
async def installation(
    cluster: Cluster, admin: Administrator, helm: Helm, name: str, *arguments: str
) -> AsyncIterator[Operator]:
    """An operator of a release of its own: with its own account and Lease, and another image for gateways."""
    objects = helm.template("--set", f"fullnameOverride={name}")
    await admin.put(*(obj for obj in objects if obj["kind"] in PERMISSIONS))
    kubeconfig = cluster.kubeconfig(name, await admin.token("mcppool-system", name))
    running = Operator(name, kubeconfig, OTHER_IMAGE, f"--lease-name={name}", *arguments)
    try:
        await running.ready()
        yield running
    finally:
        running.stop()


def owner(pool: Any) -> str:
    return str((pool.get("status") or {}).get("operator", ""))


def image(deployment: Any) -> str:
    return str(deployment["spec"]["template"]["spec"]["containers"][0]["image"])


async def test_a_pool_is_left_to_who_has_it_and_taken_over_when_that_one_is_gone(
    installed: Cluster, admin: Administrator, helm: Helm
) -> None:
    if installed.audit is None:
        missing(*AUDIT)
    async with operators(installed, "mine", arguments=IMPATIENT) as (mine,):
        await until(mine.leads, "it leads")
        await admin.service()
        await admin.server("10.1.0.1")
        await admin.pool()
        await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
        await admin.until(POOL, "search", lambda found: owner(found) == "mcppool-system/mcppool", "it says whose")
        async with installation(installed, admin, helm, "rival") as rival:
            await until(rival.leads, "the other one leads, too")
            await admin.event("Warning", "NotOwned")
            before = [await admin.get(CONFIG_MAP, CONFIG), await admin.get(DEPLOYMENT, GATEWAY)]
            writes = len(installed.requests())
            # Events of the pool concern only the owner, and happen once.
            await admin.server("10.1.0.2")
            await admin.until(CONFIG_MAP, CONFIG, lambda found: "10.1.0.2" in str(found), "the owner publishes")
            await admin.until(
                POOL, "search", lambda found: found["status"]["endpoints"]["summary"] == "2/2", "and writes its status"
            )
            published = await admin.get(CONFIG_MAP, CONFIG)
            assert (await admin.get(DEPLOYMENT, GATEWAY))["spec"] == before[1]["spec"]
            events = [found for found in await admin.api.list(EVENT, admin.namespace) if found["reason"] == "NotOwned"]
            assert len(events) == 1
            assert "mcppool-system/mcppool manages this pool" in events[0]["message"]

            def written() -> list[str]:
                return [
                    request["objectRef"]["resource"]
                    for request in installed.requests()[writes:]
                    if request["verb"] in WRITES and request["objectRef"].get("namespace") == admin.namespace
                ]

            await until(lambda: "mcpserverpools" in written(), "the audit log has the status")
            assert written().count("configmaps") == 1
            assert "deployments" not in written()
            # Killed, not told to stop: its Lease is still held, and runs out.
            mine.process.kill()
            mine.process.wait(60)
            theirs = "mcppool-system/rival"
            await admin.until(POOL, "search", lambda found: owner(found) == theirs, "it is taken over")
            await admin.until(DEPLOYMENT, GATEWAY, lambda found: image(found).endswith(":other"), "and looked after")
            assert (await admin.get(CONFIG_MAP, CONFIG))["metadata"]["uid"] == published["metadata"]["uid"]


async def test_classes_split_a_cluster_on_purpose(installed: Cluster, admin: Administrator, helm: Helm) -> None:
    async with (
        operators(installed, "plain") as (plain,),
        installation(installed, admin, helm, "classy", "--operator-class=blue") as classy,
    ):
        await until(lambda: plain.leads() and classy.leads(), "both lead")
        await admin.service()
        await admin.server("10.1.0.1")
        await admin.pool(operatorClass="blue")
        await admin.until(POOL, "search", lambda found: owner(found) == "mcppool-system/classy", "it is theirs")
        await admin.until(DEPLOYMENT, GATEWAY, lambda found: found and image(found).endswith(":other"), "its image")
        # A pool that changes its class is given up by the one and taken by the other.
        await admin.pool()
        await admin.until(POOL, "search", lambda found: owner(found) == "mcppool-system/mcppool", "it is handed over")
        await admin.until(DEPLOYMENT, GATEWAY, lambda found: image(found).endswith(":test"), "the other's image")
