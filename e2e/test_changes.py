"""Changes by people while calls go on, and nothing is lost."""

from __future__ import annotations

import json
from functools import partial

from e2e import names
from e2e.clusters import Cluster
from e2e.lines import Load, assert_nothing_is_lost
from e2e.pods import GATEWAYS, SERVERS, await_ready, rolled
from e2e.waiting import until


def test_nothing_is_lost_when_the_servers_are_rolled(pool: Cluster) -> None:
    with Load(pool, names.CLIENT, names.URL) as load:
        pool.kubectl("rollout", "restart", names.SERVERS)
        rolled(pool, names.SERVERS)
        new = await_ready(pool, names.SERVER_LABEL, SERVERS)
        until("calls on all new servers", lambda: set(load.now()["replicas"]) >= new)
        report = load.stop()
    print(report)
    assert_nothing_is_lost(report)


def test_nothing_is_lost_when_the_gateways_are_rolled(pool: Cluster) -> None:
    with Load(pool, names.CLIENT, names.URL) as load:
        before = await_ready(pool, names.GATEWAY_LABEL, GATEWAYS)
        template = {"metadata": {"annotations": {"example.com/rolled": "yes"}}}
        pool.patch_pool({"gateway": {"podTemplate": template}})
        until("the operator has changed the Deployment", lambda: before != set(pool.pod_names(names.GATEWAY_LABEL)))
        rolled(pool, names.GATEWAYS)
        assert not before & await_ready(pool, names.GATEWAY_LABEL, GATEWAYS)
        load.reach(50)
        report = load.stop()
    print(report)
    assert_nothing_is_lost(report)


def test_nothing_is_lost_when_the_policy_is_edited(pool: Cluster) -> None:
    edits = (
        {"loadBalancer": {"strategy": "RoundRobin"}, "timeouts": {"request": "4m"}},
        {"retryPolicy": {"maxAttempts": 3}, "circuitBreaker": {"failureThreshold": 9}},
        {"loadBalancer": None, "timeouts": None, "retryPolicy": None, "circuitBreaker": None},
    )
    with Load(pool, names.CLIENT, names.URL) as load:
        for edit in edits:
            before = pool.get("mcppool", names.POOL)["status"]["config"]["hash"]
            pool.patch_pool(edit)
            until("the gateways have the edit", partial(_programmed, pool, before))
            load.reach(50)
        report = load.stop()
    print(json.dumps(report))
    assert_nothing_is_lost(report)


def _programmed(pool: Cluster, before: str) -> bool:
    status = pool.get("mcppool", names.POOL)["status"]
    in_step = any(c["type"] == "Programmed" and c["status"] == "True" for c in status["conditions"])
    return in_step and status["config"]["hash"] != before
