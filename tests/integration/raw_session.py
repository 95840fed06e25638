"""A session of the handshake era over bare HTTP."""

from __future__ import annotations

import json
from typing import Any

import aiohttp

from tests.servers import Gateway

HEADERS = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}

HELLO = {
    "jsonrpc": "2.0",
    "id": 0,
    "method": "initialize",
    "params": {
        "protocolVersion": "2025-11-25",
        "capabilities": {},
        "clientInfo": {"name": "mcppool-tests", "version": "1"},
    },
}


def call(tool: str, **arguments: Any) -> dict[str, Any]:
    return {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"name": tool, "arguments": arguments}}


class RawSession:
    """One session over bare HTTP, with an id that can be taken from one gateway to another."""

    def __init__(self, http: aiohttp.ClientSession) -> None:
        self._http = http
        self.id = ""

    async def open(self, gateway: Gateway) -> None:
        async with self._http.post(gateway.url, json=HELLO, headers=HEADERS) as response:
            assert response.status == 200
            self.id = response.headers["Mcp-Session-Id"]
            await response.read()
        status, _ = await self.post(gateway, {"jsonrpc": "2.0", "method": "notifications/initialized"})
        assert status == 202

    async def post(self, gateway: Gateway, message: dict[str, Any]) -> tuple[int, Any]:
        headers = {**HEADERS, "Mcp-Session-Id": self.id, "MCP-Protocol-Version": "2025-11-25"}
        async with self._http.post(gateway.url, json=message, headers=headers) as response:
            text = (await response.read()).decode()
            if response.content_type == "text/event-stream":
                text = [line for line in text.splitlines() if line.startswith("data: {")][-1].removeprefix("data: ")
            return response.status, json.loads(text) if text.startswith("{") else text

    async def whoami(self, gateway: Gateway) -> str:
        status, answer = await self.post(gateway, call("whoami"))
        assert status == 200, answer
        name: str = answer["result"]["structuredContent"]["name"]
        return name

    async def delete(self, gateway: Gateway) -> int:
        headers = {"Mcp-Session-Id": self.id, "MCP-Protocol-Version": "2025-11-25"}
        async with self._http.delete(gateway.url, headers=headers) as response:
            return response.status


async def opened(http: aiohttp.ClientSession, front: Gateway) -> RawSession:
    session = RawSession(http)
    await session.open(front)
    return session
