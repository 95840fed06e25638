"""`mcppool.Pool` with servers that others publish, with local ones, and in its example."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path

import pytest

import mcppool
from tests.integration.client_library import nothing_left
from tests.integration.stdio_helpers import ODD
from tests.requirements import ROOT
from tests.servers import (
    aserving,
    everything_server,
    npm_everything_server,
    urls_of,
)
from tests.written_lines import written_json

STDIO_SERVER = """
import os
from mcp.server import MCPServer
server = MCPServer("stdio")
@server.tool()
async def pid() -> int:
    return os.getpid()
server.run(transport="stdio")
"""


def runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def test_local_servers_are_started_with_the_pool_and_end_with_it() -> None:
    command = [sys.executable, "-c", STDIO_SERVER]
    balance = {"strategy": "round_robin"}
    async with nothing_left(), mcppool.Pool(command=command, replicas=2, load_balancer=balance) as pool:
        pids = {(await pool.call_tool("pid", timeout=90)).structured_content["result"] for _ in range(20)}
        assert os.getpid() not in pids
        assert all(map(runs, pids))
    assert not any(map(runs, pids))


@pytest.mark.parametrize("options", [["--modern"], ["--only-initialize"]], ids=["modern", "legacy"])
async def test_a_local_server_that_the_program_alone_uses_runs_once_for_each_replica(
    tmp_path: Path, options: list[str]
) -> None:
    log = tmp_path / "log"
    command = [sys.executable, "-S", ODD, *options, "--log", str(log)]
    balance = {"strategy": "round_robin"}
    info = {"name": "my-program", "version": "3"}
    async with (
        nothing_left(),
        mcppool.Pool(command=command, replicas=2, load_balancer=balance, client_info=info) as pool,
    ):
        await asyncio.gather(*(pool.call_tool("wait", {"seconds": 0.2}) for _ in range(20)))
        both: set[int] = set()
        while len(both) < 2:  # one may start later than the other
            both.add((await pool.call_tool("pid")).structured_content["result"])
        found = [(await pool.call_tool("pid")).structured_content["result"] for _ in range(40)]
        assert len(set(found)) == 2
        lines = written_json(log)
        used = {line["pid"] for line in lines if line.get("method") == "tools/call"}
        assert used == set(found)
        alive = {line["pid"] for line in lines if "started" in line and runs(line["pid"])}
        assert alive == used, "no other runs"
        hellos = [line["params"]["clientInfo"] for line in lines if line.get("method") == "initialize"]
        assert all(hello == info for hello in hellos)


async def test_calls_wait_for_a_program_that_starts_slowly_as_long_as_they_may() -> None:
    command = [sys.executable, "-S", ODD, "--only-initialize", "--initialize-takes", "4"]
    async with nothing_left(), mcppool.Pool(command=command, replicas=1) as pool:
        counts = await asyncio.gather(*(pool.call_tool("count") for _ in range(5)))
        assert sorted(count.structured_content["result"] for count in counts) == [1, 2, 3, 4, 5]


async def test_a_missing_program_is_reported_without_a_long_wait() -> None:
    async with asyncio.timeout(25), nothing_left(), mcppool.Pool(command=["not-there-at-all"], replicas=2) as pool:
        with pytest.raises(mcppool.CallFailed, match="not-there-at-all: No such file or directory") as caught:
            await pool.call_tool("x")
        assert (caught.value.reason, caught.value.delivered) == ("no_catalog", "no")
        assert "gateway" not in str(caught.value)


async def test_the_official_client_listens_and_comes_back_over_the_pool() -> None:
    from mcp import Client

    servers = everything_server("a"), everything_server("b")
    async with aserving(*servers), nothing_left(), mcppool.Pool(urls_of(servers)) as pool:
        async with Client(pool.transport()) as client, client.listen(tools_list_changed=True) as changes:
            await client.call_tool("test_trigger_tool_change", {})
            assert type(await asyncio.wait_for(anext(aiter(changes)), 60)).__name__ == "ToolsListChanged"
        async with Client(pool.transport(), mode="legacy") as client:
            answer = await asyncio.wait_for(client.call_tool("test_reconnection", {}), 60)
            assert answer.structured_content == {"result": "Reconnection test completed"}


async def test_the_published_typescript_server_is_used_through_sessions() -> None:
    servers = npm_everything_server("a"), npm_everything_server("b")
    async with aserving(*servers), nothing_left(), mcppool.Pool(urls_of(servers), profile="development") as pool:
        answer = await pool.call_tool("echo", {"message": "hi"})
        assert getattr(answer.content[0], "text", "") == "Echo: hi"
        assert len((await pool.list_resources()).resources) > 0
        assert len((await pool.list_prompts()).prompts) > 0


async def test_the_example_runs() -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(ROOT / "examples/library.py"), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0
    assert b"200 of 200 calls were answered" in output
    assert b"the official client over the pool" in output
