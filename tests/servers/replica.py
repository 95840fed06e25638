"""A replica of a small MCP server, on the official SDK 2.x: both eras, and it counts its executions.

Run as a program: `replica.py --port N --name A [--log FILE] [--json] [--stateless] [--lag S]`. Every execution of a
tool appends one JSON line to the log before the tool does anything, so that a test can count executions whatever the
fate of the answers.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from typing import Annotated, Any

import uvicorn
from mcp.server import MCPServer
from mcp.server.mcpserver import AcceptedElicitation, Context, Elicit, ElicitationResult, Resolve
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations
from pydantic import BaseModel

READ_ONLY = ToolAnnotations(read_only_hint=True, idempotent_hint=True)
IDEMPOTENT = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=True)
UNSAFE = ToolAnnotations(read_only_hint=False, destructive_hint=True, idempotent_hint=False)


class Copies(BaseModel):
    """The question of `reserve` to the user."""

    copies: int


def ask_copies() -> Elicit[Copies]:
    """The question of `reserve`."""
    return Elicit("How many copies?", Copies)


class Ledger:
    """The executions of one replica, one JSON line each, in a file that survives the process."""

    def __init__(self, path: str | None, name: str) -> None:
        self.name = name
        self._file = None if path is None else os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, tool: str, **values: Any) -> None:
        """Append the execution of `tool`. One write call: lines of several replicas in one file do not mix."""
        if self._file is not None:
            line = {"tool": tool, "name": self.name, "pid": os.getpid(), "at": time.time(), **values}
            os.write(self._file, (json.dumps(line) + "\n").encode())


def build(name: str, ledger: Ledger) -> MCPServer:
    """The server with its tools, one resource and one prompt."""
    mcp = MCPServer("mcppool-test-replica", version="1.0.0", instructions="A server that tests use.")

    @mcp.tool(annotations=READ_ONLY)
    async def add(a: int, b: int) -> int:
        """The sum of two numbers."""
        ledger.write("add", a=a, b=b)
        return a + b

    @mcp.tool(annotations=READ_ONLY)
    async def whoami() -> dict[str, Any]:
        """Which replica answers."""
        ledger.write("whoami")
        return {"name": name, "pid": os.getpid()}

    @mcp.tool(annotations=READ_ONLY)
    async def echo(value: Any) -> str:
        """The value as JSON."""
        ledger.write("echo", value=value)
        return json.dumps(value)

    @mcp.tool(annotations=READ_ONLY)
    async def slow(seconds: float) -> dict[str, Any]:
        """Answers after some time."""
        ledger.write("slow", seconds=seconds)
        await asyncio.sleep(seconds)
        return {"name": name, "pid": os.getpid()}

    @mcp.tool(annotations=READ_ONLY)
    async def big(size: int) -> str:
        """A text of `size` letters."""
        ledger.write("big", size=size)
        return "x" * size

    @mcp.tool(annotations=READ_ONLY)
    async def progress(n: int, ctx: Context, pause: float = 0.01) -> int:
        """Reports its progress n times."""
        ledger.write("progress", n=n)
        for step in range(n):
            await ctx.report_progress(progress=step + 1, total=n, message=f"step {step + 1}")
            await asyncio.sleep(pause)
        return n

    @mcp.tool(annotations=READ_ONLY)
    async def fail(message: str = "as asked") -> str:
        """A tool that fails: its answer has isError."""
        ledger.write("fail")
        raise ToolError(message)

    @mcp.tool(annotations=IDEMPOTENT)
    async def put(key: str, seconds: float = 0.0) -> dict[str, Any]:
        """Sets a key: doing it again changes nothing."""
        ledger.write("put", key=key)
        await asyncio.sleep(seconds)
        return {"name": name, "pid": os.getpid()}

    @mcp.tool(annotations=UNSAFE)
    async def write(key: str, seconds: float = 0.0) -> dict[str, Any]:
        """Appends a key: doing it twice is wrong."""
        ledger.write("write", key=key)
        await asyncio.sleep(seconds)
        return {"name": name, "pid": os.getpid(), "key": key}

    @mcp.tool(annotations=UNSAFE)
    async def wait(key: str) -> None:
        """Never ends by itself; the ledger tells when it is cancelled."""
        ledger.write("wait", key=key)
        try:
            await asyncio.Event().wait()
        finally:
            ledger.write("cancelled", key=key)

    @mcp.tool(annotations=UNSAFE)
    async def reserve(title: str, answer: Annotated[ElicitationResult[Copies], Resolve(ask_copies)]) -> str:
        """Asks the user how many, then reserves."""
        ledger.write("reserve", title=title)
        copies = answer.data.copies if isinstance(answer, AcceptedElicitation) else 0
        return f"{copies} x {title} by {name}"

    @mcp.resource("replica://name")
    def replica_name() -> str:
        """Which replica answers."""
        return name

    @mcp.prompt()
    def greeting(who: str) -> str:
        """A greeting."""
        return f"Greet {who} from {name}."

    return mcp


KEEP_ALIVE = 3600
"""Seconds for which uvicorn keeps an idle connection. In a process that a test has paused for longer, it would close
connections before it reads the calls that wait in them."""


def lagging(app: Any, seconds: float) -> Any:
    """`app`, to which every request comes so much later."""

    async def serve(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await asyncio.sleep(seconds)
        await app(scope, receive, send)

    return serve


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--log")
    parser.add_argument("--json", action="store_true", help="answer with JSON where possible, not with an event stream")
    parser.add_argument("--stateless", action="store_true", help="handshake era without sessions")
    parser.add_argument("--lag", type=float, default=0.0, help="seconds that every answer takes longer")
    options = parser.parse_args()
    server = build(options.name, Ledger(options.log, options.name))
    app = server.streamable_http_app(json_response=options.json, stateless_http=options.stateless)
    uvicorn.run(
        lagging(app, options.lag) if options.lag else app,
        port=options.port,
        log_level="info",
        timeout_keep_alive=KEEP_ALIVE,
    )


if __name__ == "__main__":
    main()
