"""A real Prometheus, configured by a real Prometheus operator, scrapes operator and gateways."""

from __future__ import annotations

from e2e import names
from e2e.clusters import Cluster
from e2e.lines import Load
from e2e.monitoring import ask
from e2e.page import Script
from e2e.waiting import until


def targets(cluster: Cluster) -> dict[str, list[str]]:
    """The health of each scrape target, by the component that it is."""
    found: dict[str, list[str]] = {}
    for target in (ask(cluster, "targets?state=active") or {}).get("activeTargets", []):
        found.setdefault(target["labels"]["namespace"], []).append(target["health"])
    return found


def test_prometheus_scrapes_the_operator_and_the_gateways(prometheus: Cluster, script: Script) -> None:
    script.run("metrics")
    expected = {names.NAMESPACE: ["up", "up"], names.OPERATOR_NAMESPACE: ["up", "up"]}
    until("operator and both gateways are scraped", lambda: targets(prometheus) == expected, interval=0.5)
    with Load(prometheus, names.CLIENT, names.URL) as load:
        load.reach(100)
        load.stop()

    def calls_seen() -> float:
        query = 'sum(mcp_tool_executions_total{server_id="search",tool_name=~"whoami|write",status="success"})'
        answer = ask(prometheus, f"query?query={query}")
        return float(answer["result"][0]["value"][1]) if answer and answer["result"] else 0.0

    until("the calls show in mcp_tool_executions_total", lambda: calls_seen() >= 100, interval=0.5)
