"""A real Prometheus, configured by a real Prometheus operator, scrapes operator and gateways."""

from __future__ import annotations

import json
from typing import Any

import pytest

from e2e import names
from e2e.clusters import ROOT, Cluster, CommandFailedError
from e2e.lines import Load
from e2e.page import Script
from e2e.waiting import until
from tests.requirements import missing, need_path

REMEDY = "install Go, then: scripts/build-images prometheus"
PROMETHEUS = "/api/v1/namespaces/default/pods/prometheus-e2e-0:9090/proxy/api/v1"


def ask(cluster: Cluster, path: str) -> Any:
    """The answer of Prometheus, through the API server; None while there is none."""
    try:
        return json.loads(cluster.kubectl("get", "--raw", f"{PROMETHEUS}/{path}"))["data"]
    except CommandFailedError:
        return None


@pytest.fixture
def prometheus(pool: Cluster) -> Cluster:
    """A Prometheus that takes every ServiceMonitor with the page's label."""
    image = need_path(ROOT / "dist" / "images" / "prometheus.tar", "a Prometheus that discovers pods", REMEDY)
    try:
        pool.install_prometheus_operator()
    except CommandFailedError as error:
        missing(f"the Prometheus operator ({error})", "install it into the cluster")
    pool.load([image])
    pool.kubectl("apply", "-f", str(ROOT / "e2e" / "prometheus.yaml"))
    return pool


def targets(cluster: Cluster) -> dict[str, list[str]]:
    """The health of each scrape target, by the component that it is."""
    found: dict[str, list[str]] = {}
    for target in (ask(cluster, "targets?state=active") or {}).get("activeTargets", []):
        found.setdefault(target["labels"]["namespace"], []).append(target["health"])
    return found


def test_prometheus_scrapes_the_operator_and_the_gateways(prometheus: Cluster, script: Script) -> None:
    script.run("metrics")
    expected = {names.NAMESPACE: ["up", "up"], names.OPERATOR_NAMESPACE: ["up", "up"]}
    until("operator and both gateways are scraped", lambda: targets(prometheus) == expected, 120, interval=0.5)
    with Load(prometheus, names.CLIENT, names.URL) as load:
        load.reach(100)
        load.stop()

    def calls_seen() -> float:
        query = 'sum(mcp_tool_executions_total{server_id="search",tool_name=~"whoami|write",status="success"})'
        answer = ask(prometheus, f"query?query={query}")
        return float(answer["result"][0]["value"][1]) if answer and answer["result"] else 0.0

    until("the calls show in mcp_tool_executions_total", lambda: calls_seen() >= 100, 30, interval=0.5)
