"""The commands for a cluster of kind's. They are noted by programs in its place: CI has no Docker."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e import clusters
from e2e.clusters import KindCluster

NOTE = """#!/bin/sh
echo "$(basename "$0") $*" >>"$NOTES"
case "$*" in *"--config -"*) cat >"$NOTES.config" ;; esac
"""


@pytest.fixture
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The file where `kind` and `docker` note their arguments."""
    for program in ("kind", "docker"):
        path = tmp_path / program
        path.write_text(NOTE)
        path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    monkeypatch.setenv("NOTES", str(tmp_path / "notes"))
    monkeypatch.setattr(clusters, "ROOT", tmp_path)
    return tmp_path / "notes"


@pytest.mark.parametrize(("nodes", "workers"), [("1", 0), ("3", 3)])
def test_kind_makes_as_many_nodes_as_are_asked_for(
    notes: Path, monkeypatch: pytest.MonkeyPatch, nodes: str, workers: int
) -> None:
    monkeypatch.setenv("E2E_NODES", nodes)
    KindCluster().load([Path("gateway.tar")])
    configuration = json.loads(Path(f"{notes}.config").read_text())
    assert [node["role"] for node in configuration["nodes"]] == ["control-plane", *["worker"] * workers]
    assert notes.read_text().splitlines() == [
        "kind get clusters",
        "kind create cluster --name mcppool-e2e --wait 120s --config -",
        "kind export kubeconfig --name mcppool-e2e",
        "kind load image-archive gateway.tar --name mcppool-e2e",
    ]


def test_nodes_and_the_api_server_of_kind_go_away_and_come_back(notes: Path) -> None:
    cluster = KindCluster()
    notes.write_text("")
    for action in ("stop", "start", "cut", "join"):
        cluster.node("mcppool-e2e-worker", action)
    with cluster.frozen_api_server():
        pass
    assert notes.read_text().splitlines() == [
        "docker kill mcppool-e2e-worker",
        "docker start mcppool-e2e-worker",
        "docker exec mcppool-e2e-worker iptables -w -t raw -I PREROUTING -i eth0 -j DROP",
        "docker exec mcppool-e2e-worker iptables -w -t raw -D PREROUTING -i eth0 -j DROP",
        "docker exec mcppool-e2e-control-plane pkill -STOP kube-apiserver",
        "docker exec mcppool-e2e-control-plane pkill -CONT kube-apiserver",
    ]
