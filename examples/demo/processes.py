"""Child processes that the example starts and ends."""

from __future__ import annotations

import asyncio
import itertools
import os
import socket
import sys
import tempfile
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Sequence
from pathlib import Path

HOST = "127.0.0.1"


class EndedError(Exception):
    """A process that should run has ended; the message has the end of its log."""


def free_port(wanted: int | None = None) -> int:
    """`wanted` if it is free, else a free port outside the range of outgoing connections."""
    port: int
    for port in itertools.chain([] if wanted is None else [wanted], range(20_000 + os.getpid() % 5_000, 32_000)):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port")


def free_ports(count: int) -> list[int]:
    """Some free ports, one after the other."""
    ports: list[int] = []
    for _ in range(count):
        ports.append(free_port(ports[-1] + 1 if ports else None))
    return ports


class Child:
    """One program in a process (and session) of its own, so that Ctrl-C reaches us alone and we end it in order."""

    def __init__(self, name: str, command: Sequence[str], ready_url: str, env: dict[str, str] | None = None) -> None:
        self.name = name
        self.command = list(command)
        self._ready_url = ready_url
        self._env = {**os.environ, **(env or {})}
        self._log = tempfile.TemporaryFile()  # noqa: SIM115  it lives as long as the child
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        """The process id."""
        assert self._process is not None
        pid: int = self._process.pid
        return pid

    async def start(self, limit: float = 30.0) -> None:
        """Start it and wait until it answers HTTP, at most `limit` seconds."""
        self._process = await asyncio.create_subprocess_exec(
            *self.command,
            env=self._env,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        async with asyncio.timeout(limit):
            while not await asyncio.to_thread(self._answers):
                self.check()
                await asyncio.sleep(0.05)

    def _answers(self) -> bool:
        request = urllib.request.Request(self._ready_url, headers={"Accept": "application/json"})
        try:
            with urllib.request.urlopen(request, timeout=5):
                return True
        except urllib.error.HTTPError as error:
            return error.code < 500  # an MCP server refuses a bare GET; a gateway that is not ready says 503
        except OSError:
            return False

    def check(self) -> None:
        """Raise EndedError if the process is gone."""
        if self._process is None or self._process.returncode is not None:
            self._log.seek(0)
            log = self._log.read()[-4000:].decode(errors="replace")
            raise EndedError(f"{self.name} has ended: {' '.join(self.command)}\n{log}")

    async def kill(self) -> None:
        """SIGKILL, as a crash or an out-of-memory kill."""
        if self._process is not None and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()

    async def stop(self, limit: float) -> None:
        """SIGTERM; after `limit` seconds SIGKILL."""
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            await asyncio.wait_for(self._process.wait(), limit)
        except TimeoutError:
            await self.kill()


def everything_server(name: str, folder: Path, port: int) -> Child:
    """A replica of the everything server of the official SDK, with its source in `folder`."""
    command = [sys.executable, "-m", "mcp_everything_server", "--port", str(port), "--log-level", "WARNING"]
    return Child(f"replica {name}", command, f"http://{HOST}:{port}/mcp", {"PYTHONPATH": str(folder)})


def troubled_server(name: str, port: int) -> Child:
    """A replica of the small server with a switch for faults."""
    program = Path(__file__).with_name("troubled_server.py")
    return Child(f"replica {name}", [sys.executable, str(program), "--port", str(port)], f"http://{HOST}:{port}/mcp")


async def switch(port: int, **fault: str | int) -> None:
    """Switch a fault of such a replica on (`tool`, `fault`, `every`), or without any of them off."""
    url = f"http://{HOST}:{port}/switch?{urllib.parse.urlencode(fault)}"
    await asyncio.to_thread(lambda: urllib.request.urlopen(url, timeout=5).close())
