"""docs/tutorials/kubernetes.md from its first to its last command, on a control plane of its own.

`make e2e` does the same on real nodes. Here, `Node` stands for them: no image runs, and the first call is made beside
the cluster by the same client, through a real gateway with the configuration that the operator has published.
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from mcppool_operator.api import connect
from mcppool_operator.resources import CONFIG_MAP, SECRET
from tests.chart.conftest import helm  # noqa: F401 (a fixture)
from tests.chart.helm import Helm
from tests.docs.snippets import blocks_of
from tests.integration.kube_fixture import assets
from tests.kube.administrator import Administrator
from tests.kube.conftest import NODE
from tests.kube.control_plane import Cluster, ControlPlane
from tests.kube.node import Node
from tests.requirements import ROOT, missing
from tests.servers import ServerProcess, free_port, serving

PAGE = {block.name: block.text for block in blocks_of(ROOT / "docs/tutorials/kubernetes.md") if block.language == "sh"}
SERVERS = 4
"""Servers that the page has at its end."""


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Cluster]:
    """A cluster in which nobody has installed anything."""
    binaries = assets()
    if not (binaries / "kube-controller-manager").exists():
        missing(f"kube-controller-manager in {binaries}", "put it beside kube-apiserver: envtest's archive lacks it")
    running = ControlPlane(binaries, tmp_path)
    try:
        running.start()
        running.start_controllers()
        yield Cluster(tmp_path, running.admin, str(binaries / "kubectl"), running.audit, running)
    finally:
        running.stop()


class Shell:
    """Runs the commands of a step in the folder of the repository."""

    def __init__(self, cluster: Cluster, helm: Helm) -> None:  # noqa: F811 (its fixture)
        folder = cluster.folder / "home"
        (folder / "bin").mkdir(parents=True)
        for name, program in (("kubectl", cluster.kubectl), ("helm", helm.program)):
            (folder / "bin" / name).symlink_to(program)
        path = f"{folder / 'bin'}:{os.environ['PATH']}"
        self._environment = {**os.environ, "HOME": str(folder), "PATH": path, "KUBECONFIG": str(cluster.admin)}
        self._cluster = cluster
        self.done: list[str] = []

    def state(self) -> str:
        """The facts that a person needs when a step fails."""
        return self._cluster.kubectl_says("get", "mcppool,pods,endpointslices", "--all-namespaces", "-o", "yaml")

    async def run(self, step: str) -> str:
        """The output of a step, which must succeed."""
        self.done.append(step)
        process = await asyncio.create_subprocess_exec(
            "bash", "-euo", "pipefail", "-c", PAGE[step], cwd=ROOT, env=self._environment,
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        output, _ = await process.communicate()
        assert process.returncode == 0, f"{step}: {PAGE[step]}\n{output.decode()}\n{self.state()}"
        return output.decode()


async def published(cluster: Cluster, admin: Administrator, port: int, places: Mapping[str, str]) -> str:
    """The configuration of the pool's gateways, for a gateway on this port."""
    found = await admin.get(CONFIG_MAP, "search-mcp-config")
    text = re.sub(r"10\.64\.0\.\d+:\d+", lambda at: places[at[0]], found["data"]["snapshot.json"])
    secret = await admin.get(SECRET, "search-mcp-keys")
    keys = cluster.folder / "keys"
    keys.write_bytes(base64.b64decode(secret["data"]["keys"]))
    snapshot = json.loads(text)
    del snapshot["hash"]
    snapshot["listener"].update(listen=f"127.0.0.1:{port}", sealing_keys=str(keys))
    snapshot["metrics"].update(host="127.0.0.1", port=free_port())
    return json.dumps(snapshot)


async def first_call(cluster: Cluster, admin: Administrator, places: Mapping[str, str]) -> str:
    """The output of the page's call, made beside the cluster."""
    port = free_port()
    file = cluster.folder / "snapshot.json"
    file.write_text(await published(cluster, admin, port, places))
    command = [sys.executable, "-m", "mcppool", "serve", "--config", str(file)]
    words = PAGE["call"].split()
    assert words[:6] == ["kubectl", "exec", "client", "--", "python3", "-m"]
    words = [word.replace("search-mcp-gateway:8080", f"127.0.0.1:{port}") for word in words[6:]]
    with serving(ServerProcess("gateway", command, port)):
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", *words, cwd=ROOT / "images/testkit", stdout=asyncio.subprocess.PIPE
        )
        output, _ = await process.communicate()
    return output.decode()


async def test_the_commands_of_the_tutorial_work_one_after_another(
    empty: Cluster,
    helm: Helm,  # noqa: F811 (that fixture)
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "images/testkit"))
    from testkit.server import build

    shell = Shell(empty, helm)
    async with connect(str(empty.admin)) as api:
        admin = Administrator(api)
        admin.namespace = "default"
        await admin.put(NODE)
        node = Node(empty, api, SERVERS)
        async with node.serving(build().streamable_http_app()):
            await shell.run("crds")
            await shell.run("install")
            await shell.run("servers")
            await shell.run("pool")
            assert "True" in await shell.run("ready")
            assert json.loads(await first_call(empty, admin, node.places))["text"] == "42"
            await shell.run("more-servers")
            await shell.run("more-gateways")
            empty.kubectl_says("apply", "--server-side", "-f", str(ROOT / "tests/kube/servicemonitors.yaml"))
            await shell.run("metrics")
            await shell.run("uninstall")
    assert [*shell.done[:5], "call", *shell.done[5:]] == [*PAGE]
