"""A small MCP server of the official SDK with a switch for faults, which the everything server lacks.

`GET /switch?tool=NAME&fault=FAULT&every=N` makes every Nth call of a tool go wrong; `GET /switch` ends that. The
faults: `error` answers HTTP 500, `cut` breaks off in the middle of the answer, `busy` refuses with 429 and asks for a
rest.
"""

from __future__ import annotations

import argparse
from typing import Any
from urllib.parse import parse_qs

import uvicorn
from mcp.server import MCPServer
from mcp_types import ToolAnnotations
from starlette.types import ASGIApp, Receive, Scope, Send

READS = ToolAnnotations(read_only_hint=True)
JSON = (b"content-type", b"application/json")


def make_server() -> MCPServer:
    """The server itself, which knows nothing of faults."""
    server = MCPServer("troubled")

    @server.tool(annotations=READS)
    def look_up(word: str) -> str:
        """Return the meaning of a word."""
        return f"{word}: a word of {len(word)} letters"

    @server.tool(annotations=READS)
    def convert(celsius: float) -> float:
        """Degrees Fahrenheit."""
        return celsius * 9 / 5 + 32

    @server.tool(annotations=READS)
    def quote(symbol: str) -> str:
        """The price of a share."""
        return f"{symbol} {sum(symbol.encode()) / 7:.2f}"

    return server


class Switch:
    """Stands before the server and spoils answers."""

    def __init__(self, server: ASGIApp) -> None:
        self._server = server
        self._tool = b""
        self._fault = ""
        self._every = 1
        self._calls = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request, or the server's start and end."""
        if scope["type"] != "http":
            await self._server(scope, receive, send)
        elif scope["path"] == "/switch":
            self._set({key: values[0] for key, values in parse_qs(scope["query_string"].decode()).items()})
            await _answer(send, 204)
        elif self._spoils(dict(scope["headers"])):
            await self._spoil(send)
        else:
            await self._server(scope, receive, send)

    def _set(self, wanted: dict[str, str]) -> None:
        self._tool = wanted.get("tool", "").encode()
        self._fault = wanted.get("fault", "")
        self._every = int(wanted.get("every", "1"))
        self._calls = 0

    def _spoils(self, headers: dict[bytes, bytes]) -> bool:
        if not self._tool or headers.get(b"mcp-name") != self._tool:
            return False
        self._calls += 1
        return self._calls % self._every == 0

    async def _spoil(self, send: Send) -> None:
        if self._fault == "busy":
            await _answer(send, 429, (b"retry-after", b"1"))
        elif self._fault == "cut":
            await send({"type": "http.response.start", "status": 200, "headers": [JSON, (b"content-length", b"1000")]})
            await send({"type": "http.response.body", "body": b'{"jsonrpc":', "more_body": True})
        else:
            await _answer(send, 500)


async def _answer(send: Send, status: int, *headers: tuple[bytes, bytes]) -> None:
    start: dict[str, Any] = {"type": "http.response.start", "status": status, "headers": list(headers)}
    await send(start)
    await send({"type": "http.response.body", "body": b""})


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    port = parser.parse_args().port
    uvicorn.run(Switch(make_server().streamable_http_app()), host="127.0.0.1", port=port, log_level="critical")


if __name__ == "__main__":
    main()
