"""The gateway as users run it: `mcppool serve` in a process of its own, on free ports."""

from __future__ import annotations

import http.client
import json
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.servers.process import HOST, ServerProcess, free_port, get_page

Sample = tuple[str, frozenset[tuple[str, str]]]
"""Name and labels of a sample of /metrics."""


class Gateway(ServerProcess):
    """`mcppool serve --config FILE`. `url` is the address for clients, `admin` the root of the admin port.

    `pools` is TOML: the `[[pools]]` and whatever sections the test needs; ports and profile are put before it, and
    `listener` and `metrics` are more lines of these sections. `port` is for a test that must know it before. `edit`
    writes the file anew while the gateway serves.
    """

    def __init__(
        self,
        folder: Path,
        pools: str,
        *,
        profile: str = "test",
        listener: str = "",
        name: str = "gateway",
        level: str = "debug",
        port: int | None = None,
        metrics: str = "",
    ) -> None:
        self.config = folder / f"{name}.toml"
        self.admin_port = free_port()
        port = port or free_port()
        self.admin = f"http://{HOST}:{self.admin_port}"
        self._listener = listener
        self._head = (
            f'profile = "{profile}"\n'
            f'[metrics]\nhost = "{HOST}"\nport = {self.admin_port}\n{metrics}\n'
            f'[logging]\nlevel = "{level}"\n'
            f'[listener]\nlisten = "{HOST}:{port}"\n'
        )
        command = [sys.executable, "-m", "mcppool.cli.main", "serve", "--config", str(self.config)]
        super().__init__(name, command, port)
        self.edit(pools)

    def edit(self, pools: str, *, listener: str | None = None) -> None:
        """Put `pools` in the place of the file's old pools, as an editor does: a new file moved over the old one.

        `listener`: more lines of that section in place of the old ones."""
        self._listener = self._listener if listener is None else listener
        new = self.config.with_suffix(".new")
        new.write_text(f"{self._head}{self._listener}\n{pools}")
        new.replace(self.config)

    def answers(self) -> bool:
        """Whether the gateway says that it is ready."""
        return self.reachable("/readyz")

    def reachable(self, path: str) -> bool:
        """Whether a page of the admin port is there and says 200."""
        try:
            return self.get(path)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def get(self, path: str) -> tuple[int, str]:
        """Status and text of a page of the admin port."""
        return get_page(self.admin_port, path)

    def configz(self) -> dict[str, Any]:
        """The page that says which configuration is in force."""
        page: dict[str, Any] = json.loads(self.get("/configz")[1])
        return page

    def metric(self, sample: str) -> float:
        """The value of one sample of /metrics, named with its labels in any order; 0 if there is none."""
        return self.metrics().get(_sample(sample), 0.0)

    def metrics(self) -> dict[Sample, float]:
        """Every sample of /metrics."""
        lines = [line for line in self.get("/metrics")[1].splitlines() if not line.startswith("#")]
        return {_sample(sample): float(value) for sample, _, value in (line.rpartition(" ") for line in lines)}

    def close(self) -> None:
        """SIGTERM, as an orchestrator does; a gateway that does not end by itself with status 0 fails the test."""
        status: int | None = 0
        if self.alive:
            self.terminate()
            assert self._process is not None
            status = self._process.returncode
        elif self._process is not None and self._process.returncode != -signal.SIGKILL:
            status = self._process.returncode
        log = self.log
        super().close()
        if status != 0:
            raise AssertionError(f"{self.name} ended with status {status}:\n{log}")


def _sample(text: str) -> Sample:
    name, _, labels = text.partition("{")
    return name, frozenset(re.findall(r'(\w+)="((?:[^"\\]|\\.)*)"', labels))


def pool_toml(*urls: str, name: str = "demo", sections: str = "") -> str:
    """One `[[pools]]` with these endpoints and, indented under it, these `[pools.…]` sections."""
    return f'[[pools]]\nname = "{name}"\nendpoints = {json.dumps(urls)}\n{sections}\n'


def urls_of(servers: Sequence[ServerProcess]) -> list[str]:
    """Their addresses."""
    return [server.url for server in servers]
