"""The quick start, from top to bottom, as a reader types it into three terminals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.docs.snippets import blocks_of
from tests.requirements import ROOT
from tests.servers import free_port
from tests.waiting import until

PAGE = blocks_of(ROOT / "docs/tutorials/quick-start.md")
STEPS = {block.name: block.text for block in PAGE if block.name}
(FILE,) = (block.text for block in PAGE if block.language == "toml")
DONE = "-- done --"
LIMIT = 600.0  # seconds, on a busy machine
(PRINTED,) = (block.text for block in PAGE if block.language == "text" and not block.name)


class Terminal:
    """A shell to type into. Its output goes to a file."""

    def __init__(self, folder: Path, name: str) -> None:
        self._output = folder / f"{name}.txt"
        environment = {**os.environ, "NO_COLOR": "1", "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
        with self._output.open("w") as output:
            self._shell = subprocess.Popen(
                ["bash"], cwd=folder, env=environment, text=True, start_new_session=True,
                stdin=subprocess.PIPE, stdout=output, stderr=subprocess.STDOUT,
            )  # fmt: skip

    @property
    def shown(self) -> str:
        """All output so far."""
        return self._output.read_text()

    def type(self, text: str) -> None:
        """Type commands, without waiting for their end."""
        assert self._shell.stdin is not None
        self._shell.stdin.write(text)
        self._shell.stdin.flush()

    async def run(self, text: str) -> str:
        """Type commands, and return their output once they have ended."""
        before, count = len(self.shown), self.shown.count(DONE)
        self.type(f"{text}echo; echo '{DONE}'\n")
        await until(lambda: self.shown.count(DONE) > count, f"the end of: {text}", limit=LIMIT)
        return self.shown[before:]

    def close(self) -> None:
        """End the shell and all that it started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._shell.pid, signal.SIGKILL)
        self._shell.communicate()


@pytest.fixture
def terminals(tmp_path: Path) -> Iterator[tuple[Terminal, Terminal, Terminal]]:
    opened = tuple(Terminal(tmp_path, name) for name in ("servers", "gateway", "client"))
    yield opened[0], opened[1], opened[2]
    for terminal in opened:
        terminal.close()


async def test_the_quick_start_works_as_written(tmp_path: Path, terminals: tuple[Terminal, Terminal, Terminal]) -> None:
    ports = {shown: free_port() for shown in (8001, 8002, 8080, 9090)}

    def placed(text: str) -> str:
        """The text with free ports in place of those of the page."""
        text = re.sub(r"\b(8001|8002|8080|9090)\b", lambda found: str(ports[int(found[0])]), text)
        own = (
            f"--admin-port {ports[9090]}"
            if "--config" in text
            else f"--listen 127.0.0.1:{ports[8080]} --admin-port {ports[9090]}"
        )
        text = text.replace("mcppool serve", f"mcppool serve {own}")
        return text.replace("mcppool status", f"mcppool status http://127.0.0.1:{ports[9090]}")

    async def call() -> str:
        """The port of the server that answers."""
        (port,) = re.findall(
            r"Hello Ada, from the server on port (\d+)$", await client.run(placed(STEPS["call"])), re.M
        )[:1]
        return str(port)

    async def until_both_answer() -> None:
        seen: set[str] = set()
        while seen != {str(ports[8001]), str(ports[8002])}:
            seen.add(await call())

    async def until_it_is(state: str) -> None:
        while f": {state} " not in (shown := await client.run(placed(STEPS["status"]))):
            assert "mcppool" in shown

    servers, gateway, client = terminals
    (tmp_path / "server.py").write_text(STEPS["server.py"])
    await servers.run(placed(STEPS["servers"]))
    await until(lambda: servers.shown.count("Uvicorn running") == 2, "both servers", limit=LIMIT)
    gateway.type(placed(STEPS["gateway"]))
    for line in placed(PRINTED).splitlines():
        await until(lambda line=line: line in gateway.shown, line, limit=LIMIT)  # type: ignore[misc]
    async with asyncio.timeout(LIMIT):
        await until_both_answer()
        await servers.run(placed(STEPS["kill"]))
        assert {await call() for _ in range(2)} == {str(ports[8002])}
        await until_it_is("degraded")
        await servers.run(placed(STEPS["restart"]))
        await until_it_is("healthy")
        await until_both_answer()
    gateway.close()

    (tmp_path / "pools.toml").write_text(placed(FILE))
    assert "pools.toml: ok" in await client.run(placed(STEPS["check"]))
    again = Terminal(tmp_path, "again")
    try:
        again.type(placed(STEPS["serve"]))
        await until(lambda: "greeter: 2 of 2 servers answer" in again.shown, "the gateway of the file", limit=LIMIT)
        assert len({await call() for _ in range(2)}) == 1, "the cache keeps the first answer"
    finally:
        again.close()
