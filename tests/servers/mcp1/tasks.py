"""A replica with the experimental tasks of 2025-11-25, on the SDK 1.x, without sessions. Runs in an environment of its
own.

`tasks.py --port N --name A`. Its tool `start` runs as a task; the tasks of a process are known to it alone.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any

import uvicorn
from mcp.server.experimental.task_context import ServerTaskContext
from mcp.server.lowlevel import Server
from mcp.server.streamable_http_manager import StreamableHTTPSessionManager
from mcp.types import CallToolResult, CreateTaskResult, TextContent, Tool, ToolExecution
from starlette.applications import Starlette
from starlette.routing import Mount


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    options = parser.parse_args()
    warnings.simplefilter("ignore")  # tasks are deprecated in this line of the SDK
    server: Server[Any, Any] = Server("mcppool-test-tasks-1")
    support = server.experimental.enable_tasks()

    @server.list_tools()
    async def list_tools() -> list[Tool]:
        schema = {"type": "object"}
        return [Tool(name="start", inputSchema=schema, execution=ToolExecution(taskSupport="required"))]

    @server.call_tool()
    async def call_tool(name: str, arguments: dict[str, Any]) -> CreateTaskResult:
        async def work(task: ServerTaskContext) -> CallToolResult:
            return CallToolResult(content=[TextContent(type="text", text=f"done by {options.name}")])

        return await server.request_context.experimental.run_task(work)

    manager = StreamableHTTPSessionManager(server, stateless=True)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with support.run(), manager.run():
            support.run = nullcontext  # without sessions, the SDK ends the group of all tasks with each request
            yield

    app = Starlette(routes=[Mount("/", manager.handle_request)], lifespan=lifespan)
    uvicorn.run(app, host="127.0.0.1", port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
