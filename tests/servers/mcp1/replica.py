"""A replica on the maintenance line of the official SDK (1.x): handshake era only. Runs in an environment of its own.

`replica.py --port N --name A [--log FILE] [--json] [--stateless] [--events]`; the log is that of ../replica.py.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import time
from typing import Any

from mcp.server.fastmcp import Context, FastMCP
from mcp.server.streamable_http import EventMessage, EventStore
from mcp.types import ToolAnnotations

READ_ONLY = ToolAnnotations(readOnlyHint=True, idempotentHint=True)


class Events(EventStore):
    """All events, in memory."""

    def __init__(self) -> None:
        self._stored: list[tuple[str, Any]] = []

    async def store_event(self, stream_id: str, message: Any) -> str:
        """Its id."""
        self._stored.append((stream_id, message))
        return str(len(self._stored))

    async def replay_events_after(self, last_event_id: str, send_callback: Any) -> str | None:
        """The later events of its stream."""
        last = int(last_event_id)
        if not 0 < last <= len(self._stored):
            return None
        stream = self._stored[last - 1][0]
        for number, (of, message) in enumerate(self._stored[last:], last + 1):
            if of == stream and message is not None:
                await send_callback(EventMessage(message, str(number)))
        return stream


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--log")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--stateless", action="store_true")
    parser.add_argument("--events", action="store_true", help="remember events, so that streams can be resumed")
    options = parser.parse_args()
    log = None if options.log is None else os.open(options.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    mcp = FastMCP(
        "mcppool-test-replica-1",
        port=options.port,
        json_response=options.json,
        stateless_http=options.stateless,
        event_store=Events() if options.events else None,
        retry_interval=50 if options.events else None,
    )
    counter = 0

    def executed(tool: str, **values: Any) -> None:
        if log is not None:
            line = {"tool": tool, "name": options.name, "pid": os.getpid(), "at": time.time(), **values}
            os.write(log, (json.dumps(line) + "\n").encode())

    @mcp.tool(annotations=READ_ONLY)
    async def add(a: int, b: int) -> int:
        """The sum of two numbers."""
        executed("add", a=a, b=b)
        return a + b

    @mcp.tool(annotations=READ_ONLY)
    async def whoami() -> dict[str, Any]:
        """Which replica answers."""
        executed("whoami")
        return {"name": options.name, "pid": os.getpid()}

    @mcp.tool(annotations=READ_ONLY)
    async def slow(seconds: float) -> dict[str, Any]:
        """Answers after some time."""
        executed("slow", seconds=seconds)
        await asyncio.sleep(seconds)
        return {"name": options.name, "pid": os.getpid()}

    @mcp.tool(annotations=READ_ONLY)
    async def progress(n: int, ctx: Context[Any, Any, Any], pause: float = 0.01) -> int:
        """Reports its progress n times."""
        executed("progress", n=n)
        for step in range(n):
            await ctx.report_progress(step + 1, n, f"step {step + 1}")
            await asyncio.sleep(pause)
        return n

    @mcp.tool()
    async def write(key: str) -> dict[str, Any]:
        """Appends a key: doing it twice is wrong."""
        executed("write", key=key)
        return {"name": options.name, "pid": os.getpid()}

    @mcp.tool()
    def block(seconds: float) -> dict[str, Any]:
        """Works on the loop, as synchronous tools of this SDK do: nothing else is answered meanwhile."""
        executed("block", seconds=seconds)
        time.sleep(seconds)
        return {"name": options.name, "pid": os.getpid()}

    @mcp.tool()
    async def count() -> int:
        """How often this was called on this replica: state that does not move with a session."""
        nonlocal counter
        counter += 1
        executed("count")
        return counter

    mcp.run(transport="streamable-http")


if __name__ == "__main__":
    main()
