"""The services of the compose file as processes of this machine: their own commands, configuration and environment.

Names of services become 127.0.0.1, and ports become free ones; one server stands for the replicas, which would share
its port.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from tests.requirements import CACHE, ROOT, need_node, need_path
from tests.servers.process import ServerProcess, free_port, serving

COMPOSE = ROOT / "examples/compose"
EVERYTHING = "node_modules/@modelcontextprotocol/server-everything"


class Composed:
    """The running services. `check` runs the health check of the gateway, and returns its exit status."""

    def __init__(self, gateway: ServerProcess, admin_port: int, check: list[str]) -> None:
        self.gateway = gateway
        self._check = [sys.executable, "-m", *check, f"http://127.0.0.1:{admin_port}"]

    def check(self) -> int:
        return subprocess.run(self._check, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL).returncode


@contextmanager
def composed(folder: Path, collector_port: int) -> Iterator[Composed]:
    """Run the gateway and a server of compose.yaml with traces.yaml on top, and send traces to this port."""
    base, traces = (
        yaml.safe_load((COMPOSE / name).read_text())["services"] for name in ("compose.yaml", "traces.yaml")
    )
    service = {**base["gateway"], **traces["gateway"]}
    shown = base["server"]["environment"]["PORT"]
    ports = {shown: free_port(), "8080": free_port(), "9090": free_port(), "4318": collector_port}

    def placed(text: str) -> str:
        text = re.sub(r"://(server|collector):", "://127.0.0.1:", text).replace("0.0.0.0", "127.0.0.1")
        return re.sub(rf":({'|'.join(ports)})\b", lambda found: f":{ports[found[1]]}", text)

    source, mounted, _ = service["volumes"][0].split(":")
    shutil.copytree(COMPOSE / source, folder / "mounted")
    for file in (folder / "mounted").iterdir():
        file.write_text(placed(file.read_text()))
    command = [word.replace(mounted, str(folder / "mounted")) for word in service["command"]]
    arguments = ["--admin-port", str(ports["9090"])]
    gateway = ServerProcess("gateway", [sys.executable, "-m", "mcppool", *command, *arguments], ports["8080"])
    test = service["healthcheck"]["test"]
    assert test[0] == "CMD"
    with serving(_server(base["server"], ports[shown]), gateway):
        yield Composed(gateway, ports["9090"], test[1:])


def _server(service: dict[str, Any], port: int) -> ServerProcess:
    npx, yes, package, *arguments = service["command"]
    assert (npx, yes) == ("npx", "--yes")
    assert EVERYTHING.endswith(package)
    script = need_path(CACHE / "npm" / EVERYTHING / "dist/index.js", package, "`make servers` installs it")
    command = [str(need_node()), str(script), *arguments]
    return ServerProcess("server", command, port, env={**service["environment"], "PORT": str(port)})
