"""`mcppool serve -- COMMAND`: one line makes a pooled HTTP endpoint of a local program."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from mcp import Client

from tests.integration.test_stdio import SERVER, children, runs
from tests.servers import ServerProcess, free_port
from tests.servers.process import HOST
from tests.waiting import until


def command_of(pid: int) -> str:
    """The command of a process."""
    return Path(f"/proc/{pid}/cmdline").read_text()


class Served(ServerProcess):
    """The command line with `-- COMMAND`, on free ports."""

    def __init__(self, *command: str, replicas: int | None = None) -> None:
        port, self.admin_port = free_port(), free_port()
        options = [f"--listen={HOST}:{port}", f"--admin-port={self.admin_port}"]
        if replicas is not None:
            options += ["--replicas", str(replicas)]
        super().__init__("served", [sys.executable, "-m", "mcppool.cli.main", "serve", *options, "--", *command], port)

    async def health(self) -> tuple[int, str]:
        """Status and text of /health; 0 while nothing listens there yet."""
        try:
            async with aiohttp.ClientSession() as http, http.get(f"http://{HOST}:{self.admin_port}/health") as response:
                return response.status, await response.text()
        except aiohttp.ClientConnectorError:
            return 0, ""


@pytest.fixture
async def served() -> AsyncIterator[list[Served]]:
    """Ends the processes that a test starts."""
    started: list[Served] = []
    yield started
    for one in started:
        one.close()


async def start(served: list[Served], *command: str, replicas: int | None = None) -> Served:
    one = Served(*command, replicas=replicas)
    served.append(one)
    await asyncio.to_thread(one.start)
    return one


async def test_three_of_a_program_serve_clients_of_both_eras_and_end_with_the_gateway(served: list[Served]) -> None:
    front = await start(served, sys.executable, SERVER)
    # Calls before that would take the processor that the programs need for their start.
    await until(lambda: front.log.count("server_started") == 3, "all three have started", 240)
    seen: set[int] = set()
    async with Client(front.url) as client, asyncio.timeout(240):
        while len(seen) < 3:
            result = await client.call_tool("whoami", {})
            assert result.structured_content is not None
            seen.add(result.structured_content["pid"])
    async with Client(front.url, mode="legacy") as client:
        result = await client.call_tool("add", {"a": 1, "b": 2})
        assert result.structured_content == {"result": 3}
    processes = children(front.pid)
    assert seen <= processes
    assert await asyncio.to_thread(front.terminate) == 0
    assert not [pid for pid in processes if runs(pid)]


async def test_the_number_of_replicas_is_an_option_and_ctrl_c_ends_it(served: list[Served]) -> None:
    front = await start(served, sys.executable, SERVER, replicas=1)
    async with Client(front.url) as client:
        assert (await client.call_tool("add", {"a": 1, "b": 2})).structured_content == {"result": 3}
    assert len([pid for pid in children(front.pid) if SERVER in command_of(pid)]) == 1
    front.signal(signal.SIGINT)
    assert await asyncio.to_thread(front.wait) == 0


async def test_arguments_of_the_program_are_its_own_whatever_they_look_like(served: list[Served]) -> None:
    program = "import sys; sys.exit(' '.join(sys.argv[1:]))"
    front = await start(served, sys.executable, "-c", program, "--replicas", "9", "--", "--config", "x")
    await until(lambda: "--replicas 9 -- --config x" in front.log, "the program says what it was given")


async def test_a_program_that_does_not_run_is_seen_on_the_health_page(served: list[Served]) -> None:
    front = await start(served, "./no-such-program", replicas=1)
    await until(lambda: "no-such-program" in front.log, "the log says why")
    status, text = 0, ""
    async with asyncio.timeout(60):
        while status != 503 or "cannot reach 1 endpoint" not in text:
            status, text = await front.health()
            await asyncio.sleep(0.05)
