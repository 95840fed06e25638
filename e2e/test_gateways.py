"""Gateways are scaled, share sessions, and outlive the operator."""

from __future__ import annotations

import json

from e2e import names
from e2e.clusters import Cluster
from e2e.lines import Load, assert_nothing_is_lost
from e2e.page import Script
from e2e.pods import GATEWAYS, SERVERS, await_ready, pods, ready
from e2e.waiting import until


def test_kubectl_scale_changes_the_number_of_gateways(pool: Cluster, script: Script) -> None:
    with Load(pool, names.CLIENT, names.URL) as load:
        script.run("more-gateways")
        for number in (1, 4, 2):
            pool.kubectl("scale", f"mcppool/{names.POOL}", f"--replicas={number}")
            await_ready(pool, names.GATEWAY_LABEL, number)
        load.reach(50)
        report = load.stop()
    print(report)
    assert_nothing_is_lost(report)


def test_a_handshake_session_is_served_by_two_gateways_in_turn(pool: Cluster) -> None:
    await_ready(pool, names.GATEWAY_LABEL, GATEWAYS)
    addresses = [f"{pod['status']['podIP']}:{names.GATEWAY_PORT}" for pod in pods(pool, names.GATEWAY_LABEL).values()]
    said = json.loads(
        pool.kubectl("exec", names.CLIENT, "--", "python3", "-m", "testkit", "session", names.URL, *addresses)
    )
    print(said)
    assert said["protocol"] == "2025-11-25"
    assert len(set(said["answered"])) == 1, "the session moved to another server"
    assert all(count >= 5 for count in said["requests"].values())


def test_gateways_keep_serving_while_the_operator_is_away_and_follow_it_when_it_is_back(pool: Cluster) -> None:
    before = ready(pool, names.SERVER_LABEL)
    pool.kubectl("scale", "-n", names.OPERATOR_NAMESPACE, names.OPERATOR, "--replicas=0")
    until("no operator", lambda: not pool.get("pods", "-n", names.OPERATOR_NAMESPACE)["items"])
    with Load(pool, names.CLIENT, names.URL) as load:
        # A gateway that starts now cannot reach the API server: it reads the mounted ConfigMap.
        pool.kubectl("delete", "pod", ready(pool, names.GATEWAY_LABEL).pop())
        await_ready(pool, names.GATEWAY_LABEL, GATEWAYS)
        pool.kubectl("scale", names.SERVERS, f"--replicas={SERVERS + 1}")
        (new,) = await_ready(pool, names.SERVER_LABEL, SERVERS + 1) - before
        load.reach(50)
        assert new not in load.now()["replicas"], "nobody could have told the gateways of it"
        pool.kubectl("scale", "-n", names.OPERATOR_NAMESPACE, names.OPERATOR, "--replicas=1")
        until("calls on the new server", lambda: new in load.now()["replicas"])
        report = load.stop()
    print(report)
    assert_nothing_is_lost(report)
