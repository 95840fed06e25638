"""The real MCP servers that tests put behind the gateway, each made ready to start on a free port."""

from __future__ import annotations

import http.client
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.requirements import CACHE, need_node, need_path
from tests.servers.process import HOST, ServerProcess, free_port
from tests.written_lines import written_json

HERE = Path(__file__).parent
REMEDY = "`make servers` installs it"
MCP1_PYTHON = CACHE / "venv-mcp1" / "bin" / "python"


class Replica(ServerProcess):
    """A server that logs its executions: see replica.py."""

    def __init__(self, name: str, command: Sequence[str], port: int, log: Path | None) -> None:
        super().__init__(name, command, port)
        self.ledger = log


class SwitchedReplica(Replica):
    """A server that shows faults on demand: see fault_replica.py."""

    def show(self, fault: str) -> None:
        """From now on its tools show this fault; `"none"` ends it."""
        self._control("/fault", json.dumps(fault))

    def forget_sessions(self) -> None:
        """It forgets all sessions."""
        self._control("/forget", "null")

    def _control(self, path: str, body: str) -> None:
        connection = http.client.HTTPConnection(HOST, self.port, timeout=30)
        try:
            connection.request("POST", path, body)
            if connection.getresponse().status != 200:
                raise RuntimeError(f"{self.name} does not know {path} {body}")
        finally:
            connection.close()


def executions(ledger: Path, tool: str | None = None) -> list[dict[str, Any]]:
    """The executions of the replicas that write to `ledger`, in order: `{"tool", "name", "pid", "at", …arguments}`."""
    done = [line for line in written_json(ledger) if line.get("event") != "received"]
    return [line for line in done if tool is None or line["tool"] == tool]


def _options(name: str, port: int, ledger: Path | None, json_response: bool, stateless: bool) -> list[str]:
    options = ["--port", str(port), "--name", name]
    if ledger is not None:
        options += ["--log", str(ledger)]
    if json_response:
        options.append("--json")
    if stateless:
        options.append("--stateless")
    return options


def sdk2_replica(
    name: str, ledger: Path | None = None, *, json_response: bool = False, stateless: bool = False, lag: float = 0.0
) -> Replica:
    """Our small server on the SDK 2.x (both eras). `stateless`: without sessions in the handshake era; `lag`: seconds
    that every answer takes longer."""
    port = free_port()
    options = [*_options(name, port, ledger, json_response, stateless), "--lag", str(lag)]
    return Replica(name, [sys.executable, str(HERE / "replica.py"), *options], port, ledger)


def sdk1_replica(
    name: str,
    ledger: Path | None = None,
    *,
    json_response: bool = False,
    stateless: bool = False,
    events: bool = False,
) -> Replica:
    """Our small server on the SDK 1.x (handshake era only). `events`: it keeps them, so streams can be resumed."""
    python = need_path(MCP1_PYTHON, "the MCP SDK 1.x", REMEDY)
    port = free_port()
    options = [*_options(name, port, ledger, json_response, stateless), *(["--events"] if events else [])]
    return Replica(name, [str(python), str(HERE / "mcp1" / "replica.py"), *options], port, ledger)


def tasks_replica(name: str) -> ServerProcess:
    """A server on the SDK 2.x with the tasks extension of the modern era."""
    port = free_port()
    command = [sys.executable, str(HERE / "tasks_replica.py"), "--port", str(port), "--name", name]
    return ServerProcess(name, command, port)


def sdk1_tasks_replica(name: str) -> ServerProcess:
    """A server on the SDK 1.x with the tasks of 2025-11-25, without sessions."""
    python = need_path(MCP1_PYTHON, "the MCP SDK 1.x", REMEDY)
    port = free_port()
    command = [str(python), str(HERE / "mcp1" / "tasks.py"), "--port", str(port), "--name", name]
    return ServerProcess(name, command, port)


def fault_replica(name: str, ledger: Path) -> SwitchedReplica:
    """A fake server of both eras that shows faults on demand."""
    port = free_port()
    command = [
        sys.executable,
        str(HERE / "fault_replica.py"),
        "--port",
        str(port),
        "--name",
        name,
        "--log",
        str(ledger),
    ]
    return SwitchedReplica(name, command, port, ledger)


def everything_server(name: str, *, own_key: bool = False) -> ServerProcess:
    """The everything server of the official SDK 2.x (both eras), from the SDK's source archive.

    `own_key`: no other replica opens the `requestState` that it sealed.
    """
    folder = need_path(CACHE / "everything-server", "the MCP SDK's everything server", REMEDY)
    port = free_port()
    program = [str(HERE / "own_key_everything.py")] if own_key else ["-m", "mcp_everything_server"]
    command = [sys.executable, *program, "--port", str(port), "--log-level", "WARNING"]
    return ServerProcess(name, command, port, env={"PYTHONPATH": str(folder)})


def npm_everything_server(name: str) -> ServerProcess:
    """The published everything server of the TypeScript SDK: handshake era, stateful, 400 for an unknown session."""
    script = CACHE / "npm/node_modules/@modelcontextprotocol/server-everything/dist/index.js"
    need_path(script, "npm's @modelcontextprotocol/server-everything", REMEDY)
    node = need_node()
    port = free_port()
    return ServerProcess(name, [str(node), str(script), "streamableHttp"], port, env={"PORT": str(port)})


def mcp1_client_command(url: str) -> list[str]:
    """The command of mcp1/client.py against `url`."""
    python = need_path(MCP1_PYTHON, "the MCP SDK 1.x", REMEDY)
    return [str(python), str(HERE / "mcp1" / "client.py"), url]


def typescript_client_command(url: str, kind: str) -> list[str]:
    """The command of npm/client.mjs against `url`."""
    modules = CACHE / "npm/node_modules"
    need_path(modules / "@modelcontextprotocol/client", "npm's @modelcontextprotocol/client", REMEDY)
    return [str(need_node()), str(HERE / "npm" / "client.mjs"), str(modules.parent), url, kind]
