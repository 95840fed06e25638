"""The cluster of the tests, and access to it.

In this order: the one that KUBECONFIG names; a cluster tool beside the project (it needs no Docker); a new one made
with kind. The tests end only what they started. E2E_KEEP=1 leaves the cluster running, and the next run uses it.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from e2e import names
from e2e.waiting import PATIENCE
from tests.requirements import missing

ROOT = Path(__file__).resolve().parent.parent
TOOL = ROOT.parent / "shared" / "cluster" / "cluster"
KEEP = os.environ.get("E2E_KEEP") == "1"
REMEDY = (
    "set KUBECONFIG to a cluster whose nodes can get the images (E2E_LOAD: a command that brings archives to them), "
    "or install kind and Docker"
)

LIMIT = PATIENCE + 30
"""Seconds that a command may take: longer than one that waits for PATIENCE itself, so that its own message is seen."""

ENDS = 10
"""Runs of a command that ends containers: each run that fails has ended some."""

TOOL_REMEDY = "use a cluster of the tool beside the project, which stops and cuts what it has started"


class CommandFailedError(Exception):
    """A command ended with an error; the message has its output."""


@dataclass
class Cluster:
    """A cluster. Commands run where its addresses can be reached: `prefix` takes them there."""

    prefix: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    tools: tuple[Path, ...] = ()  # folders to look for programs in, first of all

    def argv(self, *command: str) -> list[str]:
        """`command`, taken to where the cluster can be reached."""
        return [*self.prefix, *command]

    def run(self, *command: str, text: str | None = None, seconds: float = LIMIT) -> str:
        """Run a command, with `text` on its standard input, and return its output; or raise CommandFailedError."""
        try:
            done = subprocess.run(
                self.argv(*command),
                input=text,
                stdin=subprocess.DEVNULL if text is None else None,
                capture_output=True,
                text=True,
                timeout=seconds,
                env=self._environment(),
                cwd=ROOT,
                check=False,
            )
        except subprocess.TimeoutExpired as late:
            words = b"".join(part for part in (late.stdout, late.stderr) if isinstance(part, bytes)).decode()
            raise CommandFailedError(f"{shlex.join(command)}: not done within {seconds:g} s\n{words}") from late
        if done.returncode:
            raise CommandFailedError(f"{shlex.join(command)}: exit {done.returncode}\n{done.stdout}{done.stderr}")
        return done.stdout

    def start(self, *command: str, stdin: int | None = subprocess.DEVNULL) -> subprocess.Popen[str]:
        """Start a command and read its lines as they come."""
        return subprocess.Popen(
            self.argv(*command),
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            bufsize=1,
            env=self._environment(),
            cwd=ROOT,
        )

    def kubectl(self, *arguments: str, text: str | None = None, seconds: float = LIMIT) -> str:
        """Run kubectl."""
        return self.run("kubectl", *arguments, text=text, seconds=seconds)

    def get(self, *arguments: str) -> Any:
        """Return the output of `kubectl get … -o json`."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def patch_pool(self, spec: Mapping[str, Any]) -> None:
        """Change the spec of the page's pool."""
        self.kubectl("patch", "mcppool", names.POOL, "--type=merge", "--patch", json.dumps({"spec": spec}))

    def pod_names(self, label: str) -> list[str]:
        """The names of all pods with a label, those that are being deleted included."""
        return [pod["metadata"]["name"] for pod in self.get("pods", "-l", label)["items"]]

    def load(self, archives: Sequence[Path]) -> None:
        """Bring image archives to the nodes."""
        command = os.environ.get("E2E_LOAD")
        if command:  # without it the nodes are expected to pull the images from a registry
            self.run(*shlex.split(command), *map(str, archives), seconds=300)

    def install_prometheus_operator(self) -> None:
        """Install the Prometheus operator, if possible; CommandFailedError if it is missing afterwards."""
        self.kubectl("get", "crd", "servicemonitors.monitoring.coreos.com")

    @contextmanager
    def frozen_api_server(self) -> Iterator[None]:
        """Keep the API server from answering for as long as the block lasts."""
        missing("a way to stop the API server", TOOL_REMEDY)
        yield

    def node(self, name: str, action: str) -> None:
        """`stop` a node (it dies, with all its containers) or `start` it; `cut` it from the network or `join` it."""
        missing(f"a way to {action} {name}", TOOL_REMEDY)

    def install_metrics_server(self) -> None:
        """Install metrics-server, if possible; CommandFailedError if it is missing afterwards."""
        self.kubectl("get", "apiservice", "v1beta1.metrics.k8s.io")

    def close(self) -> None:
        """End the cluster, if it was started here."""

    def _environment(self) -> dict[str, str]:
        path = os.pathsep.join([*map(str, self.tools), os.environ["PATH"]])
        return {**os.environ, **self.environment, "PATH": path}


class ToolCluster(Cluster):
    """By the cluster tool beside the project; its addresses exist only where the tool runs commands."""

    def __init__(self) -> None:
        super().__init__(prefix=(str(TOOL), "exec"))
        self._ours = "kubelet-node1" not in self._tool("ps")
        if self._ours:
            self._tool("up", "--nodes", os.environ.get("E2E_NODES", "1"))

    def load(self, archives: Sequence[Path]) -> None:
        try:
            self._tool("load", *map(str, archives))
        except CommandFailedError:
            if self._ours:
                raise
            # In a cluster that was kept, containerd removes the images that these replace, and with them may go a layer
            # that an import is about to build on.
            self._tool("load", *map(str, archives))

    def install_prometheus_operator(self) -> None:
        if "prometheus-operator" not in self._tool("ps"):
            self._tool("addon", "prometheus-operator")

    @contextmanager
    def frozen_api_server(self) -> Iterator[None]:
        """Stopped by a signal, its connections stay and nothing comes over them: worse than an ended one."""
        pid = next(int(line.split()[1]) for line in self._tool("ps").splitlines() if line.startswith("kube-apiserver"))
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)

    def node(self, name: str, action: str) -> None:
        if action == "stop":
            self._end("node", name, action)
        else:
            self._tool("node", name, action)

    def install_metrics_server(self) -> None:
        if "metrics-server" not in self._tool("ps"):
            self._tool("addon", "metrics-server")

    def close(self) -> None:
        if not self._ours or KEEP:
            return
        self._end("down")

    def _end(self, *arguments: str) -> None:
        """Run a command that ends containers. It reads their folders under /sys/fs/cgroup, which the kernel removes
        meanwhile: then it fails with containers left, and the next run ends these."""
        for _ in range(ENDS - 1):
            try:
                self._tool(*arguments)
                return
            except CommandFailedError as failure:
                if "FileNotFoundError" not in str(failure) and "No such device" not in str(failure):
                    raise
        self._tool(*arguments)

    def _tool(self, *arguments: str) -> str:
        done = subprocess.run(
            [TOOL, *arguments], capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False
        )
        if done.returncode:
            raise CommandFailedError(f"cluster {shlex.join(arguments)}: {done.stdout}{done.stderr}")
        return done.stdout


class KindCluster(Cluster):
    """A new cluster of kind's. CI has no Docker, so its commands are tested with programs that only note them."""

    NAME = "mcppool-e2e"

    def __init__(self) -> None:
        kubeconfig = ROOT / ".cache" / "kind.kubeconfig"
        kubeconfig.parent.mkdir(exist_ok=True)
        super().__init__(environment={"KUBECONFIG": str(kubeconfig)})
        if self.NAME not in self.run("kind", "get", "clusters").split():
            create = ("kind", "create", "cluster", "--name", self.NAME, "--wait", "120s", "--config", "-")
            self.run(*create, text=self._configuration(), seconds=600)
        self.run("kind", "export", "kubeconfig", "--name", self.NAME)

    @staticmethod
    def _configuration() -> str:
        """One node, or a control plane with as many workers as E2E_NODES says."""
        nodes = int(os.environ.get("E2E_NODES", "1"))
        roles = ["control-plane", *["worker"] * (nodes if nodes > 1 else 0)]
        listed = [{"role": role} for role in roles]
        return json.dumps({"kind": "Cluster", "apiVersion": "kind.x-k8s.io/v1alpha4", "nodes": listed})

    @contextmanager
    def frozen_api_server(self) -> Iterator[None]:
        signals = ("docker", "exec", f"{self.NAME}-control-plane", "pkill")
        self.run(*signals, "-STOP", "kube-apiserver")
        try:
            yield
        finally:
            self.run(*signals, "-CONT", "kube-apiserver")

    def node(self, name: str, action: str) -> None:
        """A node is a container; cut off, it receives nothing for itself or for its pods."""
        rule = ("PREROUTING", "-i", "eth0", "-j", "DROP")
        commands = {
            "stop": ("docker", "kill", name),
            "start": ("docker", "start", name),
            "cut": ("docker", "exec", name, "iptables", "-w", "-t", "raw", "-I", *rule),
            "join": ("docker", "exec", name, "iptables", "-w", "-t", "raw", "-D", *rule),
        }
        self.run(*commands[action])

    def load(self, archives: Sequence[Path]) -> None:
        for archive in archives:
            self.run("kind", "load", "image-archive", str(archive), "--name", self.NAME, seconds=300)

    def close(self) -> None:
        if not KEEP:
            self.run("kind", "delete", "cluster", "--name", self.NAME, seconds=120)


def open_cluster() -> Cluster | None:
    """A cluster that answers, or None if there is no way to get one here."""
    if os.environ.get("KUBECONFIG"):
        return Cluster()
    if TOOL.exists() and os.geteuid() == 0:
        return ToolCluster()
    if shutil.which("kind") and subprocess.run(["docker", "info"], capture_output=True, check=False).returncode == 0:
        return KindCluster()
    return None
