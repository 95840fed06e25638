"""Single calls and sessions of the official SDK client."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from typing import Any

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client
from mcp_types import CallToolResult, TextContent


def text_of(result: CallToolResult) -> str:
    """The text of a result; raises RuntimeError with it if the tool says that it failed."""
    text = "".join(part.text for part in result.content if isinstance(part, TextContent))
    if result.is_error:
        raise RuntimeError(text)
    return text


def parse_arguments(words: Sequence[str]) -> dict[str, Any]:
    """`a=1 b=x` as arguments: a value that is JSON is that, any other is a string."""
    arguments: dict[str, Any] = {}
    for word in words:
        name, _, value = word.partition("=")
        try:
            arguments[name] = json.loads(value)
        except ValueError:
            arguments[name] = value
    return arguments


async def call(url: str, tool: str, words: Sequence[str]) -> dict[str, Any]:
    """Make one call, as an SDK user makes it."""
    async with Client(url) as client:
        result = await client.call_tool(tool, parse_arguments(words))
        return {"tool": tool, "text": text_of(result), "protocol": client.protocol_version}


class InTurn(httpx2.AsyncBaseTransport):
    """Sends each request to the next of several addresses, with the Host that the client meant."""

    def __init__(self, addresses: Sequence[str]) -> None:
        self.used: list[str] = []
        self._addresses = itertools.cycle(addresses)
        self._inner = httpx2.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Send `request` to the address whose turn it is."""
        address = next(self._addresses)
        self.used.append(address)
        host, _, port = address.rpartition(":")
        request.url = request.url.copy_with(host=host, port=int(port))
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


async def session(url: str, gateways: Sequence[str], calls: int = 10) -> dict[str, Any]:
    """One handshake-era session with its requests spread over `gateways` in turn: the server of each answer, and its
    route."""
    transport = InTurn(gateways)
    async with (
        httpx2.AsyncClient(transport=transport, timeout=30) as http,
        Client(streamable_http_client(url, http_client=http), mode="legacy") as client,
    ):
        answered = [text_of(await client.call_tool("whoami", {})) for _ in range(calls)]
        version = client.protocol_version
    return {"protocol": version, "answered": answered, "requests": {a: transport.used.count(a) for a in gateways}}
