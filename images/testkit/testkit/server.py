"""The servers: real ones of the official SDK, listening on every address.

With its default host the SDK answers only requests whose Host is a loopback name (421 otherwise), and a pod is never
called by such a name.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from mcp.server import MCPServer
from mcp_types import ToolAnnotations
from starlette.requests import Request
from starlette.responses import PlainTextResponse

from testkit.ledger import Ledger

EVERYWHERE = "0.0.0.0"  # noqa: S104
READ_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True)


def build(latency: float = 0) -> MCPServer:
    """A server with two tools that read and one that writes, each in `latency` seconds; `/healthz` is for kubelets."""
    mcp = MCPServer("testkit", version="1.0.0", log_level="WARNING")
    ledger = Ledger()

    @mcp.tool(annotations=READ_ONLY)
    async def add(a: int, b: int) -> int:
        """Add two numbers."""
        await asyncio.sleep(latency)
        return a + b

    @mcp.tool(annotations=READ_ONLY)
    async def whoami() -> str:
        """Say which replica answers."""
        await asyncio.sleep(latency)
        return socket.gethostname()

    @mcp.tool()
    async def write(id: str) -> str:
        """Record a write in the ledger, and return the name of the replica."""
        await asyncio.sleep(latency)
        await ledger.note(id)
        return f"{socket.gethostname()} {id}"

    @mcp.custom_route("/healthz", methods=["GET"])  # type: ignore[untyped-decorator] # the SDK's
    async def healthz(_: Request) -> PlainTextResponse:
        return PlainTextResponse("ok")

    return mcp


def serve(port: int, latency: float) -> None:
    """Serve over HTTP, in both eras."""
    build(latency).run(transport="streamable-http", host=EVERYWHERE, port=port)


def stdio() -> None:
    """Serve on the standard streams."""
    build().run(transport="stdio")


def everything(port: int) -> None:
    """Serve the SDK's own everything server; its command line knows no host."""
    from mcp_everything_server import server  # type: ignore[import-not-found] # only in the image

    application: Any = server.mcp
    application.run(
        transport="streamable-http", host=EVERYWHERE, port=port, event_store=server.event_store, retry_interval=100
    )
