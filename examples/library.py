"""The library: a pool in the process of the program that calls.

`python examples/library.py` starts two replicas of a small MCP server, calls them through `mcppool.Pool`, kills one
while calls go on, and lets the official SDK's client run over the same pool. With addresses, `python
examples/library.py URL URL`, it lists the tools of your own servers.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter

import mcp_types
from demo.processes import HOST, Child, free_port
from mcp import Client
from mcp.server import MCPServer

import mcppool


def serve(port: int, name: str) -> None:
    """One replica."""
    server = MCPServer("example")

    @server.tool(annotations=mcp_types.ToolAnnotations(read_only_hint=True))
    async def search(q: str) -> str:
        """Find something, and name the server."""
        await asyncio.sleep(0.01)
        return f"{name}: something about {q}"

    server.run(transport="streamable-http", port=port)


def text_of(result: mcp_types.CallToolResult) -> str:
    """The text of a result."""
    (block,) = result.content
    assert isinstance(block, mcp_types.TextContent)
    return block.text


async def show(pool: mcppool.Pool, replicas: list[Child]) -> None:
    """The calls of a program on a pool."""
    print(text_of(await pool.call_tool("search", {"q": "pools"})))

    found: Counter[str] = Counter()
    for number in range(200):
        if number == 50:
            await replicas[0].kill()
            print(f"{replicas[0].name} is killed")
        found[text_of(await pool.call_tool("search", {"q": str(number)})).partition(":")[0]] += 1
    print(f"200 of 200 calls were answered: {dict(found)}")

    async with Client(pool.transport()) as client:
        print(f"the official client over the pool: {text_of(await client.call_tool('search', {'q': 'transports'}))}")

    await replicas[1].kill()
    try:
        await pool.call_tool("search", {"q": "nobody"})
    except mcppool.CallFailed as failure:
        print(
            f"with both replicas gone: {failure.reason}, delivered: {failure.delivered}, attempts: {failure.attempts}"
        )


async def list_tools(urls: list[str]) -> None:
    """The tools of the servers at `urls`."""
    async with mcppool.Pool(urls, profile="development") as pool:
        for tool in (await pool.list_tools()).tools:
            print(f"{tool.name}: {tool.description or ''}")


async def main() -> None:
    """Start the replicas, use them, end them."""
    ports = [free_port()]
    ports.append(free_port(ports[0] + 1))
    urls = [f"http://{HOST}:{port}/mcp" for port in ports]
    replicas = [
        Child(f"replica-{name}", [sys.executable, __file__, "--serve", str(port), f"replica-{name}"], url)
        for name, port, url in zip("ab", ports, urls, strict=True)
    ]
    try:
        await asyncio.gather(*(replica.start() for replica in replicas))
        async with mcppool.Pool(urls, retry_policy="network") as pool:
            await show(pool, replicas)
    finally:
        await asyncio.gather(*(replica.stop(5) for replica in replicas))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--serve"]:
        serve(int(sys.argv[2]), sys.argv[3])
    elif sys.argv[1:]:
        asyncio.run(list_tools(sys.argv[1:]))
    else:
        asyncio.run(main())
