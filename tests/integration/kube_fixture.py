"""A real kube-apiserver with its etcd, on 127.0.0.1, that a test may stop and start again."""

from __future__ import annotations

import os
import secrets
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import aiohttp

from tests.certificates import make_server_certificate
from tests.requirements import CACHE, ROOT, missing
from tests.servers import free_port

CLUSTER = ROOT.parent / "shared" / "cluster" / "cluster"
START_SECONDS = float(os.environ.get("KUBEBUILDER_CONTROLPLANE_START_TIMEOUT", "180").removesuffix("s"))


def assets() -> Path:
    """The directory that holds kube-apiserver and etcd: as envtest finds it, or unpacked once into the cache."""
    if found := os.environ.get("KUBEBUILDER_ASSETS"):
        return Path(found)
    if not CLUSTER.exists():
        missing("a kube-apiserver", "set KUBEBUILDER_ASSETS to what `setup-envtest use -p path` prints")
    folder = CACHE / "kubebuilder-assets"
    subprocess.run([CLUSTER, "assets", folder], check=True, stdout=subprocess.DEVNULL, timeout=120)
    return folder


class KubeApiServer:
    """The two processes. `ca` verifies it; the bearer token `admin_token` may do everything."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self.folder = folder
        self.admin_token = secrets.token_hex(16)
        self.port, self._etcd_port, self._peer_port = free_port(), free_port(), free_port()
        self._binaries = binaries
        self._pki = make_server_certificate(folder / "pki")
        self.ca = self._pki.ca
        self._etcd: subprocess.Popen[bytes] | None = None
        self._server: subprocess.Popen[bytes] | None = None
        (folder / "tokens.csv").write_text(f"{self.admin_token},admin,admin,system:masters\n")

    @property
    def url(self) -> str:
        return f"https://127.0.0.1:{self.port}"

    def start(self) -> None:
        """Start what does not run, and wait until it is ready."""
        etcd = self._etcd_url()
        peer = f"http://127.0.0.1:{self._peer_port}"
        if self._etcd is None:
            self._etcd = self._run(
                "etcd", f"--data-dir={self.folder / 'etcd'}", "--unsafe-no-fsync", "--log-level=error",
                f"--listen-client-urls={etcd}", f"--advertise-client-urls={etcd}", f"--listen-peer-urls={peer}",
                f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
            )  # fmt: skip
        if self._server is None:
            self._server = self._run("kube-apiserver", *self._arguments(self.port))
        self._wait_until_ready(self._server, self.url)

    @contextmanager
    def another(self) -> Iterator[str]:
        """Within, a second API server of the same cluster serves at the address: it knows nothing of the past."""
        port = free_port()
        url = f"https://127.0.0.1:{port}"
        server = self._run("kube-apiserver", *self._arguments(port))
        try:
            self._wait_until_ready(server, url)
            yield url
        finally:
            _end(server)

    def _etcd_url(self) -> str:
        return f"http://127.0.0.1:{self._etcd_port}"

    def _arguments(self, port: int) -> list[str]:
        return [
            f"--etcd-servers={self._etcd_url()}", "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1",
            f"--secure-port={port}", f"--cert-dir={self.folder / 'certs'}",
            f"--tls-cert-file={self._pki.certificate}", f"--tls-private-key-file={self._pki.key}",
            f"--token-auth-file={self.folder / 'tokens.csv'}", "--authorization-mode=RBAC",
            "--service-cluster-ip-range=10.96.0.0/16,fd00:96::/108", "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={self._pki.key}", f"--service-account-signing-key-file={self._pki.key}",
            "--disable-admission-plugins=ServiceAccount", "--profiling=false",
        ]  # fmt: skip

    def stop_api(self) -> None:
        """Kill the API server; its data stays in etcd."""
        if self._server is not None:
            _end(self._server)
            self._server = None

    def stop(self) -> None:
        """End both."""
        self.stop_api()
        if self._etcd is not None:
            _end(self._etcd)
            self._etcd = None

    @contextmanager
    def frozen(self) -> Iterator[None]:
        """Within, the API server's connections stay open and nothing comes out of them."""
        assert self._server is not None
        self._server.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.thaw()

    def thaw(self) -> None:
        """Let it go on."""
        assert self._server is not None
        self._server.send_signal(signal.SIGCONT)

    async def call(self, method: str, path: str, body: Any = None, content_type: str = "application/json") -> Any:
        """One request as administrator; the answer's JSON."""
        trust = ssl.create_default_context(cafile=str(self.ca))
        headers = {"Authorization": f"Bearer {self.admin_token}", "Content-Type": content_type}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.request(method, f"{self.url}{path}", json=body, ssl=trust) as response,
        ):
            answer = await response.json(content_type=None)
            assert response.status < 300, answer
            return answer

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        with (self.folder / f"{program}.log").open("ab") as log:
            return subprocess.Popen([self._binaries / program, *arguments], stdout=log, stderr=log)

    def _wait_until_ready(self, server: subprocess.Popen[bytes], url: str) -> None:
        trust = ssl.create_default_context(cafile=str(self.ca))
        request = urllib.request.Request(f"{url}/readyz", headers={"Authorization": f"Bearer {self.admin_token}"})
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(request, context=trust, timeout=10) as answer:
                    if answer.read() == b"ok":
                        return
            except OSError:
                pass  # It is not up yet.
            assert server.poll() is None, (self.folder / "kube-apiserver.log").read_text()[-2000:]
            time.sleep(0.1)
        raise TimeoutError((self.folder / "kube-apiserver.log").read_text()[-2000:])


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait(60)
