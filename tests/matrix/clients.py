"""The clients of the matrix: programs that carry out actions against a URL, or a program on standard streams."""

from __future__ import annotations

import atexit
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tests.matrix.servers import HERE, MATRIX, MATRIX_NPM, NPM, Action
from tests.requirements import need_node
from tests.servers.kinds import MCP1_PYTHON

#: Seconds for all actions of a client at all its targets.
LIMIT = 300
TOO_LONG = f"the client did not end within {LIMIT} s"

#: A URL, or the command of a program on standard streams.
Target = str | Sequence[str]

#: What a client saw: one object for each action, or an `error` for what it never came to.
Seen = list[dict[str, Any]]


@dataclass(frozen=True)
class Client:
    """A program: `command`, then the targets and the actions; if it `forks`, `command` alone, which then reads jobs.

    `bridge` gives the command to put before the URL.
    """

    name: str
    package: str
    command: Callable[[], Sequence[str]]
    needs: Sequence[Path]
    bridge: Callable[[str], Sequence[str]] | None = None
    forks: bool = False

    @property
    def missing(self) -> Path | None:
        """The first missing requirement."""
        return next((path for path in self.needs if not path.exists()), None)

    def see(self, targets: Sequence[Target], actions: Sequence[Action], folder: Path) -> list[Seen]:
        """The client's results with each of them, one after the other. One process: loading an SDK takes most of the
        time."""
        bridge = self.bridge
        reached = [bridge(target) if bridge and isinstance(target, str) else target for target in targets]
        environment = {"MCP_REMOTE_CONFIG_DIR": str(folder / "mcp-remote"), "NO_COLOR": "1"}
        if self.forks:
            command = tuple(self.command())
            output, end = _forking(command).ask({"targets": reached, "actions": actions, "environment": environment})
            return seen_of(output, len(targets), end)
        process = _start([*self.command(), json.dumps(reached), json.dumps(actions)], subprocess.PIPE, environment)
        try:
            output, errors = process.communicate(timeout=LIMIT)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            output, errors = process.communicate()
            return seen_of(output, len(targets), TOO_LONG)
        return seen_of(output, len(targets), _ended(process.returncode, errors))


def _start(command: Sequence[str], errors: int | IO[str], environment: Mapping[str, str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=errors,
        env={**os.environ, **environment},
        text=True,
        start_new_session=True,  # started processes end with it
    )


def _ended(status: int | None, errors: str) -> str | None:
    return f"the client ended with {status}: {errors.strip()[-300:]}" if status else None


class Forking:
    """A client that carries out each job in a fork of itself."""

    def __init__(self, command: Sequence[str]) -> None:
        self._errors = tempfile.TemporaryFile("w+")  # noqa: SIM115 - it is open as long as the client runs
        self._process = _start(command, self._errors, {})

    @property
    def alive(self) -> bool:
        """Whether it takes a job."""
        return self._process.poll() is None

    def ask(self, job: Mapping[str, Any]) -> tuple[str, str | None]:
        """The client's output for a job, and the error that broke it off, if there was one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        late = threading.Event()

        def kill() -> None:
            late.set()
            self._kill()

        timer = threading.Timer(LIMIT, kill)
        timer.start()
        lines = []
        status: int | None = 1
        try:
            self._process.stdin.write(json.dumps(job) + "\n")
            self._process.stdin.flush()
            for line in self._process.stdout:
                if line.startswith('{"end": '):
                    status = json.loads(line)["end"]
                    break
                lines.append(line)
        finally:
            timer.cancel()
        self._errors.seek(0)
        return "".join(lines), TOO_LONG if late.is_set() else _ended(status, self._errors.read())

    def close(self) -> None:
        """End it, and wait for its end."""
        with self._process, self._errors:
            self._kill()

    def _kill(self) -> None:
        if self.alive:
            os.killpg(self._process.pid, signal.SIGKILL)


_running: dict[Sequence[str], Forking] = {}


@atexit.register
def _close_all() -> None:
    for running in _running.values():
        running.close()


def _forking(command: Sequence[str]) -> Forking:
    """The one that runs this command, started if there is none."""
    running = _running.get(command)
    if running is None or not running.alive:
        if running is not None:
            running.close()
        running = _running[command] = Forking(command)
    return running


def seen_of(output: str, count: int, end: str | None = None) -> list[Seen]:
    """The JSON lines of a client, for each of `count` targets. `end` is its error, if it broke off."""
    seen: list[Seen] = [[] for _ in range(count)]
    last = 0
    for line in output.splitlines():
        if line.startswith("{"):
            told = json.loads(line)
            last = told.pop("target")
            seen[last].append(told)
    if end is not None:
        seen[last].append({"error": end})
    return seen


def _python(name: str, kind: str, python: Path, package: str) -> Client:
    command = [str(python), "-W", "ignore", str(HERE / "programs/client.py"), kind]
    return Client(name, package, lambda: command, [python], forks=True)


def _typescript(name: str, kind: str, package: str) -> Client:
    return Client(
        name,
        package,
        lambda: [str(need_node()), str(HERE / "programs/client.mjs"), str(NPM.parent), kind],
        [NPM / "@modelcontextprotocol/client", NPM / "@modelcontextprotocol/sdk"],
    )


def _go(name: str, program: str, package: str) -> Client:
    binary = MATRIX / "go" / program
    return Client(name, package, lambda: [str(binary), "client"], [binary])


def _rust(name: str, mode: str, package: str) -> Client:
    binary = MATRIX / "rust/debug/matrix-rmcp3"
    return Client(name, package, lambda: [str(binary), "client", mode], [binary])


REMOTE = MATRIX_NPM / "mcp-remote/dist/proxy.js"

CLIENTS: tuple[Client, ...] = (
    _python("python-sdk-1", "mcp1", MCP1_PYTHON, "PyPI mcp 1.30.0"),
    _python("python-sdk-2", "mcp2", Path(sys.executable), "PyPI mcp 2.3.0"),
    _python("python-sdk-2-legacy", "mcp2-legacy", Path(sys.executable), "PyPI mcp 2.3.0, by handshake"),
    _python("fastmcp-2", "fastmcp", MATRIX / "fastmcp2/bin/python", "PyPI fastmcp 2.14.7"),
    _python("fastmcp-3", "fastmcp", MATRIX / "fastmcp3/bin/python", "PyPI fastmcp 3.4.11"),
    _python("fastmcp-4", "fastmcp", MATRIX / "fastmcp4/bin/python", "PyPI fastmcp 4.2.3"),
    _python("langchain", "langchain", MATRIX / "langchain/bin/python", "PyPI langchain-mcp-adapters 0.3.2"),
    _typescript("typescript-sdk-1", "ts1", "npm @modelcontextprotocol/sdk 1.32.2"),
    _typescript("typescript-sdk-2", "ts2", "npm @modelcontextprotocol/client 2.4.0"),
    _typescript("typescript-sdk-2-legacy", "ts2-legacy", "npm @modelcontextprotocol/client 2.4.0, by handshake"),
    _go("go-sdk", "gosdk", "Go github.com/modelcontextprotocol/go-sdk 1.8.0"),
    _go("mcp-go", "mcpgo", "Go github.com/mark3labs/mcp-go 1.2.1"),
    _rust("rust-sdk-3", "auto", "crates.io rmcp 3.11.0"),
    _rust("rust-sdk-3-legacy", "legacy", "crates.io rmcp 3.11.0, by handshake"),
    Client(
        "mcp-remote",
        "npm mcp-remote 0.15.1",
        lambda: [str(MCP1_PYTHON), "-W", "ignore", str(HERE / "programs/client.py"), "mcp1"],
        [MCP1_PYTHON, REMOTE],
        bridge=lambda url: [str(need_node()), str(REMOTE), url, "--allow-http", "--transport", "http-only"],
        forks=True,
    ),
)
