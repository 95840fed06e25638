"""A client on the maintenance line of the official SDK (1.x), as a program: `client.py URL`.

It opens one session and then reads one JSON line per call from its input, `{"tool": …, "arguments": {…}}`, or
`{"list": true}`. For each it writes one JSON line: `{"result": …, "progress": […]}`, `{"tools": […]}` or
`{"error": …, "code": …, "data": …}`. The first line it writes is `{"protocol": …, "session": …, "server": …}`. It ends
when its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.exceptions import McpError


def say(line: dict[str, Any]) -> None:
    """One answer."""
    print(json.dumps(line), flush=True)


async def answer(session: ClientSession, request: dict[str, Any]) -> dict[str, Any]:
    """What came of one line."""
    progress: list[float] = []

    async def on_progress(done: float, total: float | None, message: str | None) -> None:
        progress.append(done)

    try:
        if request.get("list"):
            listed = await session.list_tools()
            return {"tools": [tool.name for tool in listed.tools]}
        result = await session.call_tool(request["tool"], request.get("arguments", {}), progress_callback=on_progress)
        return {"result": result.model_dump(mode="json", by_alias=True, exclude_none=True), "progress": progress}
    except McpError as error:
        return {"error": error.error.message, "code": error.error.code, "data": error.error.data}


async def main() -> None:
    """Serve the lines of the input."""
    async with (
        streamablehttp_client(sys.argv[1]) as (read, write, session_id),
        ClientSession(read, write) as session,
    ):
        hello = await session.initialize()
        say({"protocol": hello.protocolVersion, "session": session_id(), "server": hello.serverInfo.name})
        while line := await asyncio.to_thread(sys.stdin.readline):
            say(await answer(session, json.loads(line)))


if __name__ == "__main__":
    asyncio.run(main())
