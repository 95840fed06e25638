"""Every manifest of examples/kubernetes is one that a real API server accepts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.kube.administrator import Administrator
from tests.kube.control_plane import Cluster
from tests.requirements import ROOT

EXAMPLES = sorted((ROOT / "examples" / "kubernetes").rglob("*.yaml"))


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 2


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
async def test_an_example_can_be_applied(admin: Administrator, kube: Cluster, path: Path) -> None:
    said = kube.kubectl_says(
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        f"--namespace={admin.namespace}",
        f"-f={path}",
    )
    assert "serverside-applied" in said
