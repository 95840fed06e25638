"""Shared by the tests of local servers: the odd program as a pool, and raw calls of both eras with all that comes."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tests.integration.raw_session import HEADERS, HELLO
from tests.servers import Gateway, modern_call

ODD = str(Path(__file__).resolve().parent.parent / "servers" / "odd_program.py")


def odd(*options: str, replicas: int = 1, more: str = "", sections: str = "") -> str:
    """A pool of the odd program: `more` are further keys of the pool."""
    command = json.dumps([sys.executable, "-S", ODD, *options])
    return f'[[pools]]\nname = "demo"\ncommand = {command}\nreplicas = {replicas}\n{more}\n{sections}\n'


def messages_in(text: str, content_type: str) -> list[Any]:
    """The messages of an answer, whole or as events."""
    if content_type == "text/event-stream":
        return [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
    return [json.loads(text)] if text.startswith("{") else []


def rows_in(messages: list[Any]) -> list[str]:
    """The log messages among them."""
    return [m["params"]["data"] for m in messages if m.get("method") == "notifications/message"]


def value_of(messages: list[Any]) -> Any:
    """The tool's result, or its error."""
    last = messages[-1]
    return last["result"]["structuredContent"]["result"] if "result" in last else last["error"]


class Caller:
    """A client of one era over bare HTTP; `logs`: it asks for log messages."""

    def __init__(self, http: aiohttp.ClientSession, front: Gateway, *, modern: bool, logs: bool = True) -> None:
        self._http = http
        self._front = front
        self._modern = modern
        self._logs = logs
        self.session = ""

    async def open(self, version: str = "2025-11-25", capabilities: Any = None) -> Any:
        """The handshake, where the era has one; its answer."""
        if self._modern:
            return None
        params = {**HELLO["params"], "protocolVersion": version, "capabilities": capabilities or {}}
        async with self._http.post(self._front.url, json={**HELLO, "params": params}, headers=HEADERS) as response:
            self.session = response.headers.get("Mcp-Session-Id", "")
            answer = await response.json()
        await self.post({"jsonrpc": "2.0", "method": "notifications/initialized"})
        return answer

    async def post(self, message: dict[str, Any]) -> tuple[int, list[Any]]:
        """A message of a session."""
        headers = {**HEADERS, "Mcp-Session-Id": self.session, "MCP-Protocol-Version": "2025-11-25"}
        async with self._http.post(self._front.url, json=message, headers=headers) as response:
            return response.status, messages_in((await response.read()).decode(), response.content_type)

    async def call(self, tool: str, *, token: str | None = None, id: Any = 1, **arguments: Any) -> list[Any]:
        """All messages that a call brings, the answer last."""
        if self._modern:
            headers, body = modern_call(tool, arguments)
            message = json.loads(body)
            message["id"] = id
            meta = message["params"]["_meta"]
            if self._logs:
                meta["io.modelcontextprotocol/logLevel"] = "info"
            if token is not None:
                meta["progressToken"] = token
            data = json.dumps(message).encode()
            async with self._http.post(self._front.url, data=data, headers=headers) as response:
                return messages_in((await response.read()).decode(), response.content_type)
        params: dict[str, Any] = {"name": tool, "arguments": arguments}
        if token is not None:
            params["_meta"] = {"progressToken": token}
        return (await self.post({"jsonrpc": "2.0", "id": id, "method": "tools/call", "params": params}))[1]


async def answered(http: aiohttp.ClientSession, front: Gateway, *, modern: bool, limit: float = 90.0) -> Caller:
    """A caller with one answered call."""
    async with asyncio.timeout(limit):
        while True:
            caller = Caller(http, front, modern=modern)
            try:
                await caller.open()
                if "result" in (await caller.call("pid"))[-1]:
                    return caller
            except (aiohttp.ClientError, IndexError):
                pass
            await asyncio.sleep(0.05)
