"""Outages of a cluster: its API server, its nodes and our release go away for a while (`make e2e-all`)."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from e2e import names
from e2e.clusters import Cluster
from e2e.lines import PodLoad, assert_nothing_is_lost
from e2e.page import Script
from e2e.pods import GATEWAYS, SERVERS, await_ready, is_ready, pods, ready, restore, rolled
from e2e.waiting import PATIENCE, until
from tests.requirements import missing

pytestmark = pytest.mark.thorough

MINUTE = 60
TIMEOUT = 15.0
"""Seconds that a call may take if its receiver may be gone without notice."""

WORKERS = 8
UPGRADE = ("helm", "upgrade", "mcppool", "charts/mcppool", "--namespace", names.OPERATOR_NAMESPACE, "--reuse-values")
ROLLBACK = (
    "helm",
    "rollback",
    "mcppool",
    "--namespace",
    names.OPERATOR_NAMESPACE,
    "--wait",
    "--timeout",
    f"{PATIENCE:g}s",
)


def assert_only_what_died_failed(report: dict[str, Any]) -> None:
    """Assert that no client lost more than its call in flight, and nothing was done twice."""
    failed = report["failedReads"] + report["unsureWrites"] + report["failedHandshakes"]
    assert failed <= WORKERS, report["errors"]
    assert report["unsentWrites"] == report["doubleWrites"] == report["lostWrites"] == 0, report


def upgrade(cluster: Cluster, *settings: str) -> None:
    words = [word for setting in settings for word in ("--set", setting)]
    cluster.run(*UPGRADE, *words, "--wait", "--timeout", f"{PATIENCE:g}s")


def test_gateways_outlive_an_api_server_that_is_away_for_a_minute(pool: Cluster) -> None:
    with PodLoad(pool, names.URL) as load:
        before = load.now()["calls"]
        with pool.frozen_api_server():
            time.sleep(MINUTE)  # the fault's own length
        until("the API server is back", lambda: pool.get("nodes"))
        assert load.now()["calls"] - before > MINUTE, "calls went on meanwhile"
        await_ready(pool, names.GATEWAY_LABEL, GATEWAYS)
        pool.kubectl("wait", "--for=condition=Ready", f"mcppool/{names.POOL}", f"--timeout={PATIENCE:g}s")
        pool.kubectl("scale", names.SERVERS, f"--replicas={SERVERS + 1}")
        new = await_ready(pool, names.SERVER_LABEL, SERVERS + 1)
        until("calls on the new server", lambda: set(load.now()["replicas"]) >= new)
        report = load.stop()
    print(json.dumps(report))
    assert_nothing_is_lost(report)


def test_helm_test_makes_a_call_through_a_pool_of_its_own_and_leaves_nothing(pool: Cluster) -> None:
    limit = ("--timeout", f"{PATIENCE:g}s")
    said = pool.run("helm", "test", "mcppool", "--namespace", names.OPERATOR_NAMESPACE, *limit)
    assert said.count("Phase:          Succeeded") == said.count("Phase:") >= 3
    assert pool.get("mcppool", "-n", names.OPERATOR_NAMESPACE)["items"] == []


def test_nothing_is_lost_when_the_release_is_upgraded_and_rolled_back(pool: Cluster) -> None:
    with PodLoad(pool, names.URL) as load:
        upgrade(pool, "operator.logLevel=debug")
        load.reach(100)
        pool.run(*ROLLBACK)
        load.reach(100)
        report = load.stop()
    print(json.dumps(report))
    assert_nothing_is_lost(report)


def test_nothing_is_lost_when_operator_and_gateways_come_from_the_previous_commit_and_are_upgraded(
    pool: Cluster, previous_images: str
) -> None:
    tags = [f"image.{name}.tag={previous_images}" for name in ("operator", "gateway")]
    upgrade(pool, *tags)
    until("the gateways are of the previous commit", lambda: _images(pool) == {previous_images})
    rolled(pool, names.GATEWAYS)
    await_ready(pool, names.GATEWAY_LABEL, GATEWAYS)
    with PodLoad(pool, names.URL) as load:
        upgrade(pool, "image.operator.tag=", "image.gateway.tag=")
        until("the gateways are of this commit", lambda: previous_images not in _images(pool))
        rolled(pool, names.GATEWAYS)
        load.reach(100)
        report = load.stop()
    print(json.dumps(report))
    assert_nothing_is_lost(report)


def test_nothing_is_lost_when_the_release_is_uninstalled_and_installed_again(pool: Cluster, script: Script) -> None:
    release = ("mcppool", "--namespace", names.OPERATOR_NAMESPACE, "--wait", "--timeout", "90s")
    with PodLoad(pool, names.URL) as load:
        pool.run("helm", "uninstall", *release)
        load.reach(100)
        script.run("install")
        pool.kubectl("scale", f"mcppool/{names.POOL}", f"--replicas={GATEWAYS + 1}")
        await_ready(pool, names.GATEWAY_LABEL, GATEWAYS + 1)
        load.reach(100)
        report = load.stop()
    print(json.dumps(report))
    assert_nothing_is_lost(report)


def test_a_dying_gateway_loses_only_its_calls_in_flight(pool: Cluster) -> None:
    victim = min(ready(pool, names.GATEWAY_LABEL))
    with PodLoad(pool, names.URL, timeout=TIMEOUT) as load:
        pool.kubectl("delete", "pod", victim, "--grace-period=0", "--force")
        await_ready(pool, names.GATEWAY_LABEL, GATEWAYS)
        load.reach(200)
        report = load.stop()
    print(json.dumps(report))
    assert_only_what_died_failed(report)


@pytest.mark.parametrize(("away", "back"), [("stop", "start"), ("cut", "join")])
def test_a_dying_node_loses_only_its_calls_in_flight(pool: Cluster, away: str, back: str) -> None:
    kept = _node_of(pool, names.CLIENT_LABEL) | _node_of(pool, "app=ledger")
    others = sorted((_node_of(pool, names.GATEWAY_LABEL) | _node_of(pool, names.SERVER_LABEL)) - kept)
    if not others:
        missing("a second node with gateways or servers", "E2E_NODES=3 make e2e-all")
    victim, home = others[0], min(kept)
    with PodLoad(pool, names.URL, timeout=TIMEOUT, node=home) as load:
        pool.node(victim, away)
        try:
            until(f"{victim} is seen to be away", lambda: not _node_is_ready(pool, victim))
            load.reach(500)
        finally:
            pool.node(victim, back)
        until(f"{victim} is back", lambda: _node_is_ready(pool, victim))
        load.reach(200)
        report = load.stop()
    print(json.dumps({"victim": victim, **report}))
    assert_only_what_died_failed(report)
    restore(pool)


def _images(cluster: Cluster) -> set[str]:
    containers = [pod["spec"]["containers"][0] for pod in pods(cluster, names.GATEWAY_LABEL).values()]
    return {container["image"].rpartition(":")[2] for container in containers}


def _node_of(cluster: Cluster, label: str) -> set[str]:
    return {pod["spec"]["nodeName"] for pod in pods(cluster, label).values() if "nodeName" in pod["spec"]}


def _node_is_ready(cluster: Cluster, name: str) -> bool:
    return is_ready(cluster.get("node", name))
