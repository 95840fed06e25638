"""A client on the maintenance line of the official SDK (1.x), as a program: `client.py URL`.

It opens one session and then reads one JSON line per call from its input, `{"tool": …, "arguments": {…}}`, or
`{"list": true}`, or `{"errors": true}` for what its message handler was told that went wrong. With `"timeout"` beside
`"tool"` it cancels the call after so many milliseconds. For each line it writes one JSON line: `{"result": …,
"progress": […]}`, `{"cancelled": true}`, `{"tools": […]}`, `{"errors": […]}` or `{"error": …, "code": …, "data": …}`.
The first line it writes is `{"protocol": …, "session": …, "server": …}`. It ends when its input ends.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import anyio
from mcp import ClientSession
from mcp.client.streamable_http import streamablehttp_client
from mcp.shared.exceptions import McpError
from mcp.types import CancelledNotification, CancelledNotificationParams, ClientNotification


def say(line: dict[str, Any]) -> None:
    """One answer."""
    print(json.dumps(line), flush=True)


async def answer(session: ClientSession, request: dict[str, Any]) -> dict[str, Any]:
    """The result of one line."""
    progress: list[float] = []
    if request.get("errors"):
        return {"errors": [str(error) for error in errors]}
    if "timeout" in request:
        return await cancel(session, request)

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


async def cancel(session: ClientSession, request: dict[str, Any]) -> dict[str, Any]:
    """Begin a call, and cancel it as the protocol says: this client has no method for that."""
    id = session._request_id
    async with anyio.create_task_group() as group:
        group.start_soon(session.call_tool, request["tool"], request.get("arguments", {}))
        await anyio.sleep(request["timeout"] / 1000)
        params = CancelledNotificationParams(requestId=id, reason="the user has changed his mind")
        cancelled = CancelledNotification(method="notifications/cancelled", params=params)
        await session.send_notification(ClientNotification(cancelled))
        group.cancel_scope.cancel()
    return {"cancelled": True}


errors: list[Exception] = []


async def hear(message: Any) -> None:
    """Messages that the server sends on its own."""
    if isinstance(message, Exception):
        errors.append(message)


async def main() -> None:
    """Serve the lines of the input."""
    async with (
        streamablehttp_client(sys.argv[1]) as (read, write, session_id),
        ClientSession(read, write, message_handler=hear) as session,
    ):
        hello = await session.initialize()
        say({"protocol": hello.protocolVersion, "session": session_id(), "server": hello.serverInfo.name})
        while line := await asyncio.to_thread(sys.stdin.readline):
            say(await answer(session, json.loads(line)))


if __name__ == "__main__":
    asyncio.run(main())
