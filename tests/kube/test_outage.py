"""The operator loses its connection to the API server for a moment, and catches up with the changes in between."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from urllib.parse import urlsplit

from mcppool_operator.api import connect
from mcppool_operator.resources import CONFIG_MAP, DEPLOYMENT, POD, POOL
from tests.kube.administrator import Administrator
from tests.kube.control_plane import Cluster
from tests.kube.operator_process import Operator
from tests.kube.pool_objects import CONFIG, GATEWAY
from tests.kube.proxy import way
from tests.requirements import missing
from tests.waiting import until


async def test_changes_during_an_outage_are_reconciled_without_a_restart(
    installed: Cluster, admin: Administrator
) -> None:
    server = urlsplit(installed.place()["server"])
    assert server.hostname
    assert server.port
    token = await admin.token("mcppool-system", "mcppool")
    async with way(server.hostname, server.port) as path:
        kubeconfig = installed.kubeconfig("outage", token, f"https://127.0.0.1:{path.port}")
        # With the Lease of every day it would end while it is cut off, and be started again.
        operator = Operator("outage", kubeconfig, "--lease-duration=300", "--renew-deadline=200")
        try:
            await operator.ready()
            await until(operator.leads, "it leads")
            await admin.service()
            gone, stays = await admin.server("10.1.0.1"), await admin.server("10.1.0.2")
            await admin.pool()
            await admin.pool("other")
            await admin.until(CONFIG_MAP, CONFIG, lambda found: "10.1.0.2" in str(found), "the snapshot is there")
            await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
            await admin.until(DEPLOYMENT, "other-mcp-gateway", bool, "the other's, too")
            path.cut()
            await admin.call("DELETE", POD.path(admin.namespace, gone), {"gracePeriodSeconds": 0})
            await admin.delete(DEPLOYMENT, GATEWAY)
            await admin.delete(POOL, "other")
            await admin.until(DEPLOYMENT, "other-mcp-gateway", lambda found: found is None, "collected as garbage")
            await until(lambda: not operator.is_ready(), "it says that it hears nothing", 120)
            await until(operator.alive, "a probe must not end what only waits")
            path.mend()
            config = await admin.until(
                CONFIG_MAP, CONFIG, lambda found: "10.1.0.1" not in str(found), "the snapshot is without the first"
            )
            assert "10.1.0.2" in config["data"]["snapshot.json"], stays
            await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is made again")
            assert await admin.get(DEPLOYMENT, "other-mcp-gateway") is None
            await until(operator.is_ready, "it hears again")
            assert operator.process.poll() is None
        finally:
            await asyncio.to_thread(operator.stop)  # its way to the API server is in this very thread


async def test_deletions_during_a_watch_gap_that_ends_with_410_gone_are_repaired(
    installed: Cluster, admin: Administrator
) -> None:
    """A cluster of several API servers: the operator's one is gone, and the next has no memory of earlier versions."""
    if installed.own is None:
        missing(
            "a second API server", "unset USE_EXISTING_CLUSTER, so that the tests have a control plane of their own"
        )
    server = urlsplit(installed.place()["server"])
    assert server.hostname
    assert server.port
    token = await admin.token("mcppool-system", "mcppool")
    async with way(server.hostname, server.port) as path:
        kubeconfig = installed.kubeconfig("gone", token, f"https://127.0.0.1:{path.port}")
        operator = Operator("gone", kubeconfig, "--lease-duration=3000", "--renew-deadline=2000")
        try:
            await operator.ready()
            await until(operator.leads, "it leads")
            await admin.service()
            gone = await admin.server("10.1.0.1")
            await admin.server("10.1.0.2")
            await admin.pool()
            await admin.pool("other")
            await admin.until(CONFIG_MAP, CONFIG, lambda found: "10.1.0.2" in str(found), "the snapshot is there")
            await admin.until(DEPLOYMENT, "other-mcp-gateway", bool, "the other's Deployment is there")
            old = await admin.until(DEPLOYMENT, GATEWAY, bool, "the Deployment is there")
            path.cut()
            await admin.call("DELETE", POD.path(admin.namespace, gone), {"gracePeriodSeconds": 0})
            await admin.delete(DEPLOYMENT, GATEWAY)
            await admin.delete(POOL, "other")
            await admin.until(DEPLOYMENT, "other-mcp-gateway", lambda found: found is None, "collected as garbage")
            with ExitStack() as stack:
                second = urlsplit(await asyncio.to_thread(stack.enter_context, installed.own.another()))
                assert second.hostname
                path.mend(second.hostname, second.port)
                async with connect(
                    str(installed.kubeconfig("second", installed.own.admin_token, second.geturl()))
                ) as api:
                    version = old["metadata"]["resourceVersion"]
                    watch = f"{DEPLOYMENT.path(None)}?watch=1&timeoutSeconds=1&resourceVersion={version}"
                    answer = await Administrator(api).call("GET", watch)
                    assert (answer["type"], answer["object"]["code"]) == ("ERROR", 410)
                await admin.until(
                    DEPLOYMENT, GATEWAY, lambda found: found and found["metadata"]["uid"] != old["metadata"]["uid"],
                    "the Deployment is made again",
                )  # fmt: skip
                await admin.until(
                    CONFIG_MAP, CONFIG, lambda found: "10.1.0.1" not in str(found), "the snapshot is without the first"
                )
                await until(lambda: {"Deployment", "McpServerPool"} <= anew(operator), "both are listed anew")
                assert await admin.get(DEPLOYMENT, "other-mcp-gateway") is None
                await until(operator.is_ready, "it hears again")
                assert await asyncio.to_thread(operator.stop) == 0
        finally:
            path.mend(server.hostname, server.port)
            await asyncio.to_thread(operator.stop)  # its way to the API server is in this very thread


def anew(operator: Operator) -> set[str]:
    """The kinds that an operator has listed again, because their watches missed something."""
    return {line["kind"] for line in operator.lines() if line["message"] == "a watch begins anew"}


async def test_an_operator_that_starts_before_the_api_server_waits_for_it(
    installed: Cluster, admin: Administrator
) -> None:
    server = urlsplit(installed.place()["server"])
    assert server.hostname
    assert server.port
    token = await admin.token("mcppool-system", "mcppool")
    async with way(server.hostname, server.port) as path:
        path.cut()
        operator = Operator("early", installed.kubeconfig("early", token, f"https://127.0.0.1:{path.port}"))
        try:
            await until(lambda: "waiting for the API server" in operator.log(), "it waits")
            assert operator.process.poll() is None
            await until(operator.alive, "a probe must not end what only waits")
            idle = Operator("idle", installed.kubeconfig("idle", token, f"https://127.0.0.1:{path.port}"))
            await until(lambda: "waiting for the API server" in idle.log(), "another one waits")
            assert idle.stop() == 0
            path.mend()
            await operator.ready()
            await until(operator.leads, "it leads")
            # Not in this thread, which carries its way to the API server: it is to release its Lease.
            assert await asyncio.to_thread(operator.stop) == 0
            assert "Traceback" not in operator.log()
        finally:
            await asyncio.to_thread(operator.stop)
