"""The operator as a process of its own, with the permissions that the chart gives it and no others."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import urllib.request
from pathlib import Path
from typing import Any

from tests.requirements import need_program
from tests.waiting import until
from tests.written_lines import written_lines

IMPATIENT = ("--lease-duration=15", "--renew-deadline=10", "--retry-period=0.5")
"""For tests that wait until a Lease has run out. A busy API server takes seconds for a renewal."""


class Operator:
    """One replica."""

    def __init__(self, name: str, kubeconfig: Path, *arguments: str) -> None:
        self.name = name
        self._log = kubeconfig.with_name(f"{name}.log")
        program = need_program("mcppool-operator", "install the project with its extra `operator`")
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    program, "--gateway-image=localhost/mcppool-gateway:test", "--host=127.0.0.1",
                    "--metrics-port=0", "--probe-port=0",
                    "--lease-namespace=mcppool-system", "--lease-name=mcppool", *arguments,
                ],
                env={**os.environ, "KUBECONFIG": str(kubeconfig), "POD_NAME": name},
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    async def ready(self) -> None:
        """Wait until its watches are up."""
        await until(self._answers, f"{self.name} is ready or has ended", 120)
        assert self.process.poll() is None, self.log()

    def leads(self) -> bool:
        """Whether it says that it leads."""
        return self.metric("mcppool_operator_leader") == 1

    def metric(self, name: str) -> float:
        """The value of a metric without labels; 0 if there is none, or no answer."""
        text = self._get("metrics", "/metrics") or ""
        return next((float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), 0)

    def stop(self) -> int:
        """End it as Kubernetes does; returns its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(60)

    def log(self) -> str:
        """Everything that it has logged."""
        return self._log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        """Its log, line by line; each is JSON."""
        return [json.loads(line) for line in written_lines(self._log) if line.endswith("}")]

    def alive(self) -> bool:
        """Whether its liveness probe is answered."""
        return self._get("probes", "/livez") is not None

    def is_ready(self) -> bool:
        """Whether its readiness probe is answered with a yes."""
        return self._get("probes", "/readyz") is not None

    def _answers(self) -> bool:
        return self.process.poll() is not None or self.is_ready()

    def _get(self, name: str, path: str) -> str | None:
        port = next((line[name] for line in self.lines() if line.get("message") == "serving"), None)
        if port is None:
            return None
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=5) as answer:
                text: str = answer.read().decode()
                return text
        except OSError:
            return None
