"""A real Prometheus with the chart's alerts, in which a minute is two seconds."""

from __future__ import annotations

import http.client
import json
import re
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import yaml

from tests.requirements import CACHE, ROOT, need_program
from tests.servers.process import HOST, ServerProcess, free_port, get_page

FILES = ROOT / "charts" / "mcppool" / "files"
SCRAPES = "1s"
"""Between two scrapes, and what one may take: after one that came too late all series end, and alerts with them."""
WINDOW = re.compile(r"\[(\d+)m\]")
VARIABLES = re.compile(r"\$\w+")


def _quick(expression: str) -> str:
    """With two seconds for each minute of its windows: the shortest, of five minutes, have ten scrapes."""
    return WINDOW.sub(lambda found: f"[{2 * int(found[1])}s]", expression)


def quick_alerts() -> dict[str, Any]:
    """The chart's rules, with minutes of expressions made two seconds, and those of `for` tenths of a second."""
    rules: dict[str, Any] = yaml.safe_load((FILES / "alerts.yaml").read_text())
    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = _quick(rule["expr"])
            rule["for"] = f"{100 * int(rule['for'].removesuffix('m'))}ms"
    return rules


def dashboard_queries() -> Iterator[tuple[str, str]]:
    """Every query of every dashboard, with its panel, for any value of its variables."""
    for path in sorted((FILES / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            for target in panel["targets"]:
                query = _quick(target["expr"])
                yield f"{path.stem}: {panel['title']}", VARIABLES.sub(".*", query)


class Prometheus(ServerProcess):
    """Scrapes `targets`, by job the address and the labels that a ServiceMonitor would give it, once a second."""

    def __init__(self, folder: Path, targets: Mapping[str, tuple[str, Mapping[str, str]]]) -> None:
        built = CACHE / "prometheus" / "prometheus"
        found = str(built) if built.exists() else shutil.which("prometheus")
        program = found or need_program("prometheus", "apt-get install prometheus")
        jobs = [
            {"job_name": job, "static_configs": [{"targets": [address], "labels": dict(labels)}]}
            for job, (address, labels) in targets.items()
        ]
        config = {
            "global": {"scrape_interval": SCRAPES, "scrape_timeout": SCRAPES, "evaluation_interval": "200ms"},
            "rule_files": ["alerts.yaml"],
            "scrape_configs": jobs,
        }
        (folder / "alerts.yaml").write_text(yaml.safe_dump(quick_alerts()))
        (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
        port = free_port()
        command = [
            program,
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={HOST}:{port}",
            "--log.level=warn",
        ]
        super().__init__("prometheus", command, port, path="/-/ready")

    def answers(self) -> bool:
        """Whether it is ready to be asked."""
        try:
            return get_page(self.port, "/-/ready")[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def firing(self) -> set[str]:
        """The names of the alerts that fire now."""
        return {alert["alertname"] for alert in self.alerts()}

    def alerts(self) -> list[dict[str, str]]:
        """The labels of the alerts that fire now."""
        found = json.loads(get_page(self.port, "/api/v1/alerts")[1])["data"]["alerts"]
        return [alert["labels"] for alert in found if alert["state"] == "firing"]

    def query(self, text: str) -> list[dict[str, Any]]:
        """The result of a query."""
        status, answer = get_page(self.port, f"/api/v1/query?query={quote(text)}")
        assert status == 200, answer
        result: list[dict[str, Any]] = json.loads(answer)["data"]["result"]
        return result
