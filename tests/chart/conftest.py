"""Fixtures of the chart's tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.chart.helm import VALUES, Helm
from tests.requirements import ROOT, missing


@pytest.fixture(scope="session")
def helm() -> Helm:
    found = subprocess.run(
        [sys.executable, ROOT / "scripts" / "fetch-helm"], capture_output=True, text=True, timeout=250, check=False
    )
    if found.returncode != 0:
        missing("Helm", found.stderr.strip())
    return Helm(found.stdout.strip())


@pytest.fixture(params=VALUES, ids=lambda path: path.name.removesuffix("-values.yaml"))
def values(request: pytest.FixtureRequest) -> Path:
    """Each of the chart's example values files."""
    path: Path = request.param
    return path
