"""One small MCP server on each Python SDK: `server.py KIND [PORT]`, HTTP on PORT or standard streams without one.

KIND is `mcp1`, `mcp2` (the official SDK's lines 1.x and 2.x) or `fastmcp` (2 to 4); each runs in an environment with
that package. Every replica answers the same.
"""

from __future__ import annotations

import asyncio
import sys

kind = sys.argv[1]
port = int(sys.argv[2]) if len(sys.argv) > 2 else None

if kind == "mcp2":
    from mcp.server import MCPServer
    from mcp.server.mcpserver import Context

    server = MCPServer("matrix", version="1.0.0", instructions="A server of the matrix.")
elif kind == "mcp1":
    from mcp.server.fastmcp import Context, FastMCP

    server = FastMCP("matrix", instructions="A server of the matrix.", **({} if port is None else {"port": port}))
else:
    from fastmcp import Context, FastMCP

    server = FastMCP("matrix", instructions="A server of the matrix.")


@server.tool()
async def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


@server.tool()
async def echo(message: str) -> str:
    """The message."""
    return message


@server.tool()
async def fail() -> str:
    """Fails."""
    raise ValueError("as asked")


@server.tool()
async def count(steps: int, ctx: Context) -> int:
    """Reports its progress so many times."""
    for step in range(steps):
        await ctx.report_progress(step + 1, steps)
        await asyncio.sleep(0.01)
    return steps


@server.resource("matrix://text")
def text() -> str:
    """A text."""
    return "a text, äöü €"


@server.prompt()
def greeting(who: str) -> str:
    """A greeting."""
    return f"Greet {who}."


if port is None:
    server.run()
elif kind == "mcp1":
    server.run(transport="streamable-http")
else:
    server.run(transport="streamable-http", port=port)
