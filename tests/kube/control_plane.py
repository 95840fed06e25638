"""An API server with its real controllers: of the tests' own, on 127.0.0.1, or an existing one.

An existing one must have no nodes: the tests act as kubelets, and two cannot both do that.
"""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration.kube_fixture import KubeApiServer, assets
from tests.requirements import missing, need_program
from tests.written_lines import written_json

AUDIT = (
    "the log of what the operator has asked of the API server",
    "unset USE_EXISTING_CLUSTER, so that the tests have a control plane of their own",
)
"""The message of `missing` for a test that needs `Cluster.audit`."""

WRITES = {"create", "update", "patch", "delete"}

OPERATOR_USER = "system:serviceaccount:mcppool-system:mcppool"


@dataclass(frozen=True)
class Cluster:
    """The cluster. `audit` holds the operator's requests to it, if the tests may see them."""

    folder: Path
    admin: Path  # kubeconfig of a user who may do everything
    kubectl: str
    audit: Path | None = None
    own: ControlPlane | None = None  # of the tests' own

    def kubectl_says(self, *arguments: str) -> str:
        """The output of kubectl; AssertionError with its message if it fails."""
        with tempfile.TemporaryDirectory() as cache:  # kubectl's cache of a cluster is soon stale here
            done = subprocess.run(
                [self.kubectl, f"--kubeconfig={self.admin}", f"--cache-dir={cache}", *arguments],
                capture_output=True, text=True, timeout=120, check=False,
            )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def install(self, crds: Sequence[Path]) -> None:
        """Apply CRDs, and wait until they are served."""
        files = [f"--filename={path}" for path in crds]
        self.kubectl_says("apply", "--server-side", "--force-conflicts", *files)
        self.kubectl_says("wait", "--for=condition=Established", "--timeout=120s", *files)

    def kubeconfig(self, name: str, token: str, server: str | None = None) -> Path:
        """A kubeconfig like the administrator's for the user with `token`; `server`: another address."""
        place = self.place()
        if server is not None:
            place["server"] = server
        return write_kubeconfig(self.folder / f"{name}.kubeconfig", place, {"token": token})

    def place(self) -> dict[str, Any]:
        """Address and certificate authority of the API server, as a kubeconfig has them."""
        known = json.loads(self.kubectl_says("config", "view", "--raw", "--minify", "-o", "json"))
        place: dict[str, Any] = known["clusters"][0]["cluster"]
        return place

    def requests(self) -> list[dict[str, Any]]:
        """Every request of the operator so far, oldest first."""
        assert self.audit is not None
        return written_json(self.audit)


class ControlPlane(KubeApiServer):
    """API server, etcd and the controller manager, which collects garbage and makes EndpointSlices and pods."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        super().__init__(binaries, folder)
        self._controllers: subprocess.Popen[bytes] | None = None
        self.audit = folder / "audit.log"
        policy = {
            "apiVersion": "audit.k8s.io/v1",
            "kind": "Policy",
            "omitStages": ["RequestReceived"],
            "rules": [{"level": "Metadata", "users": [OPERATOR_USER]}, {"level": "None"}],
        }
        (folder / "audit-policy.json").write_text(json.dumps(policy))
        place = {"server": self.url, "certificate-authority": str(self.ca)}
        self.admin = write_kubeconfig(folder / "admin.kubeconfig", place, {"token": self.admin_token})

    def start_controllers(self) -> None:
        """Start the controllers, after the CRDs: the garbage collector looks for new kinds only twice a minute."""
        if self._controllers is None:
            self._controllers = self._run(
                "kube-controller-manager", f"--kubeconfig={self.admin}", "--leader-elect=false", "--secure-port=0",
                "--controllers=*,-persistentvolume-binder-controller,-node-lifecycle-controller,-pod-garbage-collector-controller",
                "--kube-api-qps=200", "--kube-api-burst=400", "--endpointslice-updates-batch-period=0s",
            )  # fmt: skip

    def stop(self) -> None:
        if self._controllers is not None:
            self._controllers.kill()
            self._controllers.wait(60)
            self._controllers = None
        super().stop()

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        if program == "kube-apiserver":
            policy = self.folder / "audit-policy.json"
            arguments += (f"--audit-policy-file={policy}", f"--audit-log-path={self.audit}")
        return super()._run(program, *arguments)


@contextmanager
def cluster(folder: Path, crds: Sequence[Path]) -> Iterator[Cluster]:
    """The cluster that USE_EXISTING_CLUSTER=true and KUBECONFIG name, or a control plane that ends with this block."""
    if os.environ.get("USE_EXISTING_CLUSTER", "").lower() == "true" and "KUBECONFIG" in os.environ:
        kubectl = need_program("kubectl", "install kubectl")
        found = Cluster(folder, Path(os.environ["KUBECONFIG"]), kubectl)
        found.install(crds)
        yield found
        return
    binaries = assets()
    if not (binaries / "kube-controller-manager").exists():
        missing(f"kube-controller-manager in {binaries}", "put it beside kube-apiserver: envtest's archive lacks it")
    running = ControlPlane(binaries, folder)
    try:
        running.start()
        found = Cluster(folder, running.admin, str(binaries / "kubectl"), running.audit, running)
        found.install(crds)
        running.start_controllers()
        yield found
    finally:
        running.stop()


def write_kubeconfig(path: Path, place: dict[str, Any], user: dict[str, Any]) -> Path:
    """Write a kubeconfig of one cluster and one user."""
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": place}],
        "users": [{"name": "u", "user": user}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    }
    path.write_text(json.dumps(config))
    return path
