"""Real Helm, and the objects that it renders from the chart."""

from __future__ import annotations

import subprocess
from typing import Any

import yaml

from tests.requirements import ROOT

CHART = ROOT / "charts" / "mcppool"
VALUES = sorted((CHART / "ci").glob("*-values.yaml"))


class Helm:
    """The program, on this chart."""

    def __init__(self, program: str) -> None:
        self.program = program

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run it, whether it succeeds or not."""
        return subprocess.run([self.program, *arguments], capture_output=True, text=True, timeout=120, check=False)

    def template(self, *arguments: str) -> list[dict[str, Any]]:
        """The objects that the chart renders to, for a release `mcppool` in `mcppool-system`."""
        done = self.run("template", "mcppool", str(CHART), "--namespace", "mcppool-system", *arguments)
        assert done.returncode == 0, done.stderr
        documents = [document for document in yaml.safe_load_all(done.stdout) if document]
        assert documents
        return documents

    def refusal(self, *settings: str) -> str:
        """Helm's message about values that it must refuse."""
        arguments = [word for setting in settings for word in ("--set-json", setting)]
        done = self.run("template", "mcppool", str(CHART), *arguments)
        assert done.returncode != 0, "these values were taken"
        return done.stderr
