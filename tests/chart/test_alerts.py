"""The chart's alerts and dashboards: each fires when it should, and asks only for metrics that there are."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import yaml

from mcppool_operator import metrics
from tests.chart.helm import CHART, Helm
from tests.requirements import ROOT, need_program

ALERTS = CHART / "files" / "alerts.yaml"
DASHBOARDS = sorted((CHART / "files" / "dashboards").glob("*.json"))
METRIC = re.compile(r"\b(mcp(?:pool)?_[a-z_]+)")


def expressions() -> Iterator[tuple[str, str]]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            yield rule["alert"], rule["expr"]
    for path in DASHBOARDS:
        board = json.loads(path.read_text())
        for panel in board["panels"]:
            for target in panel["targets"]:
                yield f"{path.name}: {panel['title']}", target["expr"]
        for variable in board["templating"]["list"]:
            yield f"{path.name}: {variable['name']}", variable["query"]


def known() -> set[str]:
    """Every metric of the gateways, as documented (a test of theirs holds that), and of the operator."""
    gateways = set(METRIC.findall((ROOT / "docs" / "reference" / "observability.md").read_text()))
    operator = {sample for family in metrics.REGISTRY.collect() for sample in (family.name, f"{family.name}_total")}
    return gateways | operator | {f"{name}_bucket" for name in gateways}


def test_alerts_and_dashboards_ask_for_metrics_that_there_are() -> None:
    names = known()
    for where, expression in expressions():
        assert set(METRIC.findall(expression)) <= names, where


def test_every_alert_fires_when_its_fault_is_there_and_ends_with_it(tmp_path: Path) -> None:
    promtool = need_program("promtool", "apt-get install prometheus")
    shutil.copy(ALERTS, tmp_path / "alerts.yaml")
    cases = Path(__file__).with_name("alerts.test.yaml")
    shutil.copy(cases, tmp_path / "alerts.test.yaml")
    done = subprocess.run(
        [promtool, "test", "rules", "alerts.test.yaml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    tested = {
        case["alertname"] for test in yaml.safe_load(cases.read_text())["tests"] for case in test["alert_rule_test"]
    }
    assert tested == {
        rule["alert"] for group in yaml.safe_load(ALERTS.read_text())["groups"] for rule in group["rules"]
    }


def test_every_alert_has_a_section_with_its_remedy() -> None:
    headings = {
        line.removeprefix("## ")
        for line in (ROOT / "docs" / "reference" / "alerts.md").read_text().splitlines()
        if line[:3] == "## "
    }
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            assert rule["alert"] in headings
            assert rule["annotations"]["runbook"] == f"docs/reference/alerts.md#{rule['alert'].lower()}"


def test_the_chart_contains_them(helm: Helm) -> None:
    objects = helm.template("--set", "prometheusRule.enabled=true", "--set", "dashboards.enabled=true")
    (rule,) = [obj for obj in objects if obj["kind"] == "PrometheusRule"]
    assert rule["spec"] == yaml.safe_load(ALERTS.read_text())
    boards = [obj for obj in objects if obj["metadata"]["labels"].get("grafana_dashboard") == "1"]
    assert {name for board in boards for name in board["data"]} == {path.name for path in DASHBOARDS}
    for board in boards:
        for text in board["data"].values():
            json.loads(text)
