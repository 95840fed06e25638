"""`mcppool.Pool` with servers that others publish, with local ones, and in its example."""

from __future__ import annotations

import asyncio
import os
import sys

import mcppool
from tests.integration.client_library import nothing_left
from tests.requirements import ROOT
from tests.servers import (
    aserving,
    everything_server,
    npm_everything_server,
    urls_of,
)

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
        pids = {(await pool.call_tool("pid", timeout=20)).structured_content["result"] for _ in range(20)}
        assert os.getpid() not in pids
        assert all(map(runs, pids))
    assert not any(map(runs, pids))


async def test_the_official_client_listens_and_comes_back_over_the_pool() -> None:
    from mcp import Client

    servers = everything_server("a"), everything_server("b")
    async with aserving(*servers), nothing_left(), mcppool.Pool(urls_of(servers)) as pool:
        async with Client(pool.transport()) as client, client.listen(tools_list_changed=True) as changes:
            await client.call_tool("test_trigger_tool_change", {})
            assert type(await asyncio.wait_for(anext(aiter(changes)), 10)).__name__ == "ToolsListChanged"
        async with Client(pool.transport(), mode="legacy") as client:
            answer = await asyncio.wait_for(client.call_tool("test_reconnection", {}), 10)
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
    output, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert b"200 of 200 calls were answered" in output
    assert b"the official client over the pool" in output
