"""The last part of the page: the objects that go, and those that stay meanwhile."""

from __future__ import annotations

from e2e import names
from e2e.clusters import Cluster
from e2e.page import FirstCall, Script
from e2e.waiting import until


def test_deleting_a_pool_deletes_all_its_objects(first_call: FirstCall, cluster: Cluster, script: Script) -> None:
    kinds = "deployments,services,configmaps,secrets,serviceaccounts,roles,rolebindings,poddisruptionbudgets"
    assert f"{names.POOL}-mcp-gateway" in cluster.kubectl("get", kinds, "-l", "app.kubernetes.io/part-of=mcppool")
    script.run("uninstall")
    until(
        "nothing is left",
        lambda: not cluster.kubectl("get", kinds, "-l", "app.kubernetes.io/part-of=mcppool", "-o", "name"),
    )
