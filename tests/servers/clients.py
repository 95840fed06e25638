"""Real MCP clients for tests: official SDKs in processes of their own, and bare HTTP in both eras."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from tests.servers.kinds import mcp1_client_command, typescript_client_command

if TYPE_CHECKING:  # replicas that need no SDK start sooner without it
    from mcp_types import CallToolResult

MODERN = "2026-07-28"


class ClientProcess:
    """A connected client of an official SDK. `hello` is `{"protocol", "session", "server"}` as negotiated."""

    def __init__(self, process: asyncio.subprocess.Process, hello: dict[str, Any]) -> None:
        self._process = process
        self.hello = hello

    async def call(self, tool: str, **arguments: Any) -> dict[str, Any]:
        """`{"result": …, "progress": […]}` or `{"error": message, "code": …, "data": …}`."""
        return await self._ask({"tool": tool, "arguments": arguments})

    async def cancel(self, tool: str, after: int, **arguments: Any) -> dict[str, Any]:
        """A call that the client cancels `after` so many milliseconds."""
        return await self._ask({"tool": tool, "arguments": arguments, "timeout": after})

    async def errors(self) -> list[str]:
        """Errors that the client has reported to its `onerror`, or its message handler."""
        errors: list[str] = (await self._ask({"errors": True}))["errors"]
        return errors

    async def list_tools(self) -> list[str]:
        """The names of the tools."""
        tools: list[str] = (await self._ask({"list": True}))["tools"]
        return tools

    async def _ask(self, line: dict[str, Any]) -> dict[str, Any]:
        assert self._process.stdin is not None
        self._process.stdin.write((json.dumps(line) + "\n").encode())
        await self._process.stdin.drain()
        return await _read_line(self._process)


async def _read_line(process: asyncio.subprocess.Process) -> dict[str, Any]:
    assert process.stdout is not None
    assert process.stderr is not None
    line = await asyncio.wait_for(process.stdout.readline(), timeout=120)
    if not line:
        raise RuntimeError(f"the client ended:\n{(await process.stderr.read()).decode()}")
    answer: dict[str, Any] = json.loads(line)
    return answer


@contextlib.asynccontextmanager
async def _client(command: Sequence[str]) -> AsyncIterator[ClientProcess]:
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=16 * 1024 * 1024,
    )
    try:
        yield ClientProcess(process, await _read_line(process))
        assert process.stdin is not None
        process.stdin.close()
        await asyncio.wait_for(process.wait(), timeout=60)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


def mcp1_client(url: str) -> contextlib.AbstractAsyncContextManager[ClientProcess]:
    """A session of the official Python SDK 1.x client on `url`."""
    return _client(mcp1_client_command(url))


def typescript_client(url: str, kind: str) -> contextlib.AbstractAsyncContextManager[ClientProcess]:
    """The official TypeScript SDK's client on `url`; `kind` is `modern` or `legacy`, of its version 2.x, or `1.x`."""
    return _client(typescript_client_command(url, kind))


def text_of(result: CallToolResult) -> str:
    """The text with which a tool's answer begins."""
    text = getattr(result.content[0], "text", None)
    assert isinstance(text, str)
    return text


def modern_request(
    method: str, params: Mapping[str, Any] | None = None, *, request_id: int | str = 1
) -> tuple[dict[str, str], bytes]:
    """Headers and body of a 2026-07-28 request, to be sent as they are or spoilt by a test first."""
    params = dict(params or {})
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "mcppool-tests", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params["_meta"] = {**meta, **params.get("_meta", {})}
    headers = {
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "MCP-Protocol-Version": MODERN,
        "Mcp-Method": method,
    }
    name = params.get("name", params.get("uri", params.get("taskId")))
    if isinstance(name, str):
        headers["Mcp-Name"] = name
    body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": params}
    return headers, json.dumps(body, separators=(",", ":")).encode()


def modern_call(tool: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> tuple[dict[str, str], bytes]:
    """Headers and body of a `tools/call`."""
    return modern_request("tools/call", {"name": tool, "arguments": dict(arguments or {})}, **more)
