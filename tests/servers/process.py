"""A server in a process of its own on one port of 127.0.0.1, which a test may kill, restart and pause."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import http.client
import itertools
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

HOST = "127.0.0.1"
S = TypeVar("S", bound="ServerProcess")

#: Below the range from which Linux takes the ports of outgoing connections: a server that a test killed and brings back
#: must find its port free, and a client that dials it meanwhile must not be connected to itself.
PORTS = range(20_000, 32_000)

#: A process of tests takes its ports from a block of its own, so that none gets what another was given and does not
#: listen on at this moment. It holds the first port of its block, bound, for as long as it lives.
BLOCK = 1000


@functools.cache
def _block() -> Iterator[int]:
    for first in PORTS[::BLOCK]:
        mark = socket.socket()
        try:
            mark.bind((HOST, first))
        except OSError:  # another process has this one
            mark.close()
            continue
        _marks.append(mark)
        return itertools.cycle(range(first + 1, first + BLOCK))
    raise RuntimeError("every block of ports is taken")


_marks: list[socket.socket] = []


def get_page(port: int, path: str) -> tuple[int, str]:
    """Status and text of a page. Raises OSError or HTTPException if there is no answer."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


def free_port() -> int:
    """A free port of 127.0.0.1 that no other caller gets: each comes once in a thousand."""
    for port in itertools.islice(_block(), BLOCK):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port found")


class ServerProcess:
    """One server process. `url` stays the same through `kill` and `restart`.

    `command` starts it; `path` is the path of its MCP endpoint; `env` is added to this process's environment.
    """

    #: Seconds in which a server must answer after its start, on a busy machine.
    start_timeout = 120.0

    def __init__(
        self, name: str, command: Sequence[str], port: int, *, path: str = "/mcp", env: Mapping[str, str] | None = None
    ) -> None:
        self.name = name
        self.command = list(command)
        self.port = port
        self.url = f"http://{HOST}:{port}{path}"
        self._path = path
        self._env = {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})}
        self._process: subprocess.Popen[bytes] | None = None
        with tempfile.NamedTemporaryFile(prefix=f"mcppool-{name}-", suffix=".log", delete=False) as log:
            self._log = Path(log.name)

    # ---- state ----

    @property
    def pid(self) -> int:
        """The process id. Raises RuntimeError if the server was never started."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        """Whether the process runs (or is paused)."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """All that the server wrote to its output, over all its lives, up to its last whole line while it runs."""
        ended = not self.alive
        text = self._log.read_bytes() if self._log.exists() else b""
        return (text if ended else text[: text.rfind(b"\n") + 1]).decode(errors="replace")

    def log_after(self, start: int) -> bytes:
        """The server's output after its first `start` bytes."""
        with self._log.open("rb") as log:
            log.seek(start)
            return log.read()

    # ---- life ----

    def launch(self) -> None:
        """Start the process without waiting until it answers."""
        if self.alive:
            raise RuntimeError(f"{self.name} runs already")
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self.command, env=self._env, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT
            )

    def wait_ready(self) -> None:
        """Return when the server answers HTTP. Raises RuntimeError with its log if it ends or takes too long."""
        deadline = time.monotonic() + self.start_timeout
        while not self.answers():
            if not self.alive:
                raise RuntimeError(f"{self.name} ended with {self._process and self._process.returncode}:\n{self.log}")
            if time.monotonic() > deadline:
                raise RuntimeError(f"{self.name} did not answer within {self.start_timeout:g} s:\n{self.log}")
            time.sleep(0.05)

    def answers(self) -> bool:
        """Whether the server answers an HTTP request now, with any status: a GET that creates no session."""
        connection = http.client.HTTPConnection(HOST, self.port, timeout=5)
        try:
            connection.request("GET", self._path, headers={"Accept": "application/json"})
            connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()
        return True

    def start(self) -> None:
        """Start the process and wait until it answers."""
        self.launch()
        self.wait_ready()

    def kill(self) -> None:
        """SIGKILL: connections are reset or closed, the port refuses. Returns when the process is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def terminate(self, timeout: float = 60.0) -> int:
        """SIGTERM, and the exit status. Raises subprocess.TimeoutExpired (and kills) after `timeout` seconds."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        self._process.terminate()
        return self.wait(timeout)

    def wait(self, timeout: float = 60.0) -> int:
        """The exit status. Raises subprocess.TimeoutExpired (and kills) after `timeout` seconds."""
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()
            raise

    def signal(self, number: signal.Signals) -> None:
        """Send a signal without waiting for its effect."""
        os.kill(self.pid, number)

    def pause(self) -> None:
        """SIGSTOP: the kernel still accepts connections, nothing answers."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        """SIGCONT: end of `pause`."""
        os.kill(self.pid, signal.SIGCONT)

    async def restart(self) -> None:
        """Start again on the same port, killed first if it still runs; returns when it answers."""
        if self.alive:
            self.kill()
        await asyncio.to_thread(self.start)

    def close(self) -> None:
        """End the process, if it runs, and remove its log. Servers with open streams ignore SIGTERM: SIGKILL."""
        self.kill()
        self._log.unlink(missing_ok=True)


@contextlib.contextmanager
def serving(*servers: S) -> Iterator[tuple[S, ...]]:
    """The servers, started side by side and answering; ended on leaving."""
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_ready()
        yield servers
    finally:
        for server in servers:
            server.close()


@contextlib.asynccontextmanager
async def aserving(*servers: S) -> AsyncIterator[tuple[S, ...]]:
    """`serving` for a test that has its event loop running."""
    with contextlib.ExitStack() as stack:
        yield await asyncio.to_thread(stack.enter_context, serving(*servers))
