"""Managed servers: programs on standard streams, and the fate of sessions when servers are scaled down."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from e2e import names
from e2e.clusters import Cluster
from e2e.lines import Load, Sessions, assert_nothing_is_lost
from e2e.pods import await_ready, pods
from e2e.waiting import PATIENCE, until

POOL = "tools"
URL = f"http://{POOL}-mcp-gateway:{names.GATEWAY_PORT}/mcp"
SERVER_LABEL = f"app.kubernetes.io/instance={POOL},app.kubernetes.io/component=server"
COST = "controller.kubernetes.io/pod-deletion-cost"
DRAIN = 120
SESSIONS = 30
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}}


def manifest(replicas: int, **managed: object) -> dict[str, Any]:
    source = {"image": names.TESTKIT, "replicas": replicas, "resources": SMALL, **managed}
    return {
        "apiVersion": "mcppool.dev/v1alpha1",
        "kind": "McpServerPool",
        "metadata": {"name": POOL},
        "spec": {
            "source": {"type": "Managed", "managed": source},
            "auth": {"inbound": {"type": "None"}},
            "timeouts": {"drain": f"{DRAIN}s"},
            "gateway": {"replicas": 1, "resources": SMALL},
        },
    }


def apply(cluster: Cluster, pool: dict[str, Any]) -> None:
    cluster.kubectl("apply", "-f", "-", text=json.dumps(pool))
    cluster.kubectl("wait", "--for=condition=Ready", f"mcppool/{POOL}", f"--timeout={PATIENCE:g}s")


@pytest.fixture
def managed(pool: Cluster) -> Iterator[Cluster]:
    """The cluster, from which the managed pool is gone afterwards."""
    yield pool
    pool.kubectl("delete", "mcppool", POOL, "--ignore-not-found")
    until("its servers are gone", lambda: not pods(pool, SERVER_LABEL))


def test_a_program_on_standard_streams_is_a_pool_in_one_object(managed: Cluster) -> None:
    apply(managed, manifest(2, transport="Stdio", command=["python3", "-m", "testkit", "stdio"]))
    before = await_ready(managed, SERVER_LABEL, 2)
    with Load(managed, names.CLIENT, URL, rate=20) as load:
        until("calls on both servers", lambda: set(load.now()["replicas"]) >= before)
        managed.kubectl("delete", "pod", next(iter(before)), "--wait=false")
        (new,) = await_ready(managed, SERVER_LABEL, 2) - before
        until("calls on the new server", lambda: new in load.now()["replicas"])
        report = load.stop()
    print(report)
    assert_nothing_is_lost(report)


@pytest.mark.thorough
@pytest.mark.parametrize("on_loss", ["Reinitialize", "Fail"])
def test_the_server_with_the_fewest_sessions_goes_and_cuts_none(managed: Cluster, on_loss: str) -> None:
    pool = manifest(3, port=8000, args=["serve"])
    pool["spec"]["sessions"] = {"onLoss": on_loss}
    apply(managed, pool)
    servers = await_ready(managed, SERVER_LABEL, 3)
    with Load(managed, names.CLIENT, URL, rate=10) as load:
        until("the gateway calls all three servers", lambda: set(load.now()["replicas"]) >= servers)
    with Sessions(managed, names.CLIENT, URL, SESSIONS) as sessions:
        emptiest = min(servers, key=lambda server: len(sessions.at(server)))
        assert len(sessions.at(emptiest)) >= 3, "sessions are spread over the servers"
        sessions.end(sessions.at(emptiest)[2:])
        until("the operator knows which server is the emptiest", lambda: _cheapest(managed) == {emptiest})
        kept = sessions.at(emptiest)
        managed.kubectl("patch", "mcppool", POOL, "--type=merge", "-p", _replicas(2))
        until("a server is going", lambda: len(pods(managed, SERVER_LABEL)) == 2)
        assert set(pods(managed, SERVER_LABEL)) == servers - {emptiest}
        calls = {name: sessions.now()[name]["calls"] for name in kept}
        until("its sessions go on", lambda: all(sessions.now()[name]["calls"] >= calls[name] + 3 for name in kept))
        if on_loss == "Reinitialize":
            until("its sessions have moved", lambda: not sessions.at(emptiest))
        sessions.end(kept)
        seen = sessions.now()
    print(json.dumps(seen))
    assert [each["errors"] for each in seen.values() if each["errors"]] == []
    moved = {name for name, each in seen.items() if len(each["replicas"]) > 1}
    assert moved == (set(kept) if on_loss == "Reinitialize" else set())


def _cheapest(cluster: Cluster) -> set[str]:
    """The servers with the lowest cost of deletion."""
    costs = {name: _cost(pod) for name, pod in pods(cluster, SERVER_LABEL).items()}
    return {name for name, cost in costs.items() if cost == min(costs.values())}


def _cost(pod: dict[str, dict[str, dict[str, str]]]) -> int:
    return int(pod["metadata"].get("annotations", {}).get(COST, "0"))


def _replicas(number: int) -> str:
    return json.dumps({"spec": {"source": {"managed": {"replicas": number}}}})
