"""The fast upstream of the benchmarks: an echo MCP server on raw asyncio, one process, one endpoint per port.

It speaks both eras and accepts any session id on any port, so that peers without session affinity can be measured too.
Every answer is JSON with a Content-Length. `GET /calls` answers how many tool calls were executed so far: the benchmark
compares that with what the load generator counted, so that no target can win by not forwarding.

    python -m bench.upstream --ports 3        prints the ports as one JSON line on stdout, then serves until SIGTERM
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import secrets
import signal
from typing import cast

import msgspec
import uvloop

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
MAX_REQUEST = 8 << 20

SERVER_INFO = {"name": "bench-echo", "version": "1"}
ECHO_TOOL = {
    "name": "echo",
    "description": "Gives back its text.",
    "inputSchema": {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]},
    "annotations": {"readOnlyHint": True},
}
MODERN_END = {
    "resultType": "complete",
    "_meta": {"io.modelcontextprotocol/serverInfo": SERVER_INFO},
}
HINTS = {"ttlMs": 60000, "cacheScope": "private"}
DISCOVER = msgspec.json.encode({"supportedVersions": [MODERN], "capabilities": {"tools": {}}, **HINTS, **MODERN_END})
TOOLS = msgspec.json.encode({"tools": [ECHO_TOOL]})
MODERN_TOOLS = msgspec.json.encode({"tools": [ECHO_TOOL], **HINTS, **MODERN_END})
END = b',"isError":false}'
MODERN_RESULT_END = b',"isError":false,' + msgspec.json.encode(MODERN_END)[1:]

_content_length = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n").search


class Params(msgspec.Struct, frozen=True):
    name: str = ""
    arguments: dict[str, msgspec.Raw] = {}
    protocol_version: str = msgspec.field(name="protocolVersion", default=LEGACY[0])


class Message(msgspec.Struct, frozen=True):
    method: str = ""
    id: msgspec.Raw = msgspec.Raw(b"")
    params: Params = Params()


_decode = msgspec.json.Decoder(Message).decode


class Counter:
    """Tool calls executed by this process."""

    calls = 0


def http(body: bytes, status: bytes = b"200 OK", extra: bytes = b"") -> bytes:
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\n%bContent-Length: %d\r\n\r\n%b" % (
        status,
        extra,
        len(body),
        body,
    )


def result(id: bytes, body: bytes, extra: bytes = b"") -> bytes:
    return http(b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, body), extra=extra)


def error(id: bytes, code: int, text: bytes, status: bytes) -> bytes:
    return http(b'{"jsonrpc":"2.0","id":%b,"error":{"code":%d,"message":"%b"}}' % (id, code, text), status)


def post(head: bytes, body: bytes) -> bytes:
    """The answer to one POST; `head` is in lower case."""
    try:
        message = _decode(body)
    except msgspec.DecodeError:
        return error(b"null", -32700, b"not JSON-RPC", b"400 Bad Request")
    modern = b"\r\nmcp-method:" in head  # demanded of modern requests, unknown to legacy ones
    id, method = bytes(message.id), message.method
    if not id:
        return http(b"", b"202 Accepted")
    if method == "tools/call":
        if message.params.name != "echo":
            return error(id, -32602, b"unknown tool", b"200 OK")
        Counter.calls += 1
        text = bytes(message.params.arguments.get("text", b'""'))
        return result(id, b'{"content":[{"type":"text","text":%b}]%b' % (text, MODERN_RESULT_END if modern else END))
    if method == "tools/list":
        return result(id, MODERN_TOOLS if modern else TOOLS)
    if modern and method == "server/discover":
        return result(id, DISCOVER)
    if not modern and method == "ping":
        return result(id, b"{}")
    if not modern and method == "initialize":
        asked = message.params.protocol_version
        answer = {
            "protocolVersion": asked if asked in LEGACY else LEGACY[0],
            "capabilities": {"tools": {}},
            "serverInfo": SERVER_INFO,
        }
        session = b"Mcp-Session-Id: %b\r\n" % secrets.token_hex(16).encode()
        return result(id, msgspec.json.encode(answer), session)
    return error(id, -32601, b"method not found", b"404 Not Found" if modern else b"200 OK")


class Server(asyncio.Protocol):
    """HTTP/1.1 with Content-Length bodies, kept alive; pipelined requests are answered in order."""

    def __init__(self) -> None:
        self.buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data if self.buffer else data
        while buffer:
            end = buffer.find(b"\r\n\r\n") + 4
            if end < 4:
                break
            head = buffer[: end - 2].lower()
            stop = end
            if head.startswith(b"post "):
                length = _content_length(head)
                if length is None:
                    self.transport.write(http(b"", b"411 Length Required", b"Connection: close\r\n"))
                    self.transport.close()
                    return
                stop = end + int(length[1])
                if len(buffer) < stop:
                    break
                self.transport.write(post(head, buffer[end:stop]))
            else:
                self.other(head)
                return
            buffer = buffer[stop:]
        if len(buffer) > MAX_REQUEST:
            self.transport.close()
        self.buffer = buffer

    def other(self, head: bytes) -> None:
        """Answer a request that is not a POST, and close: any body is not read."""
        close = b"Connection: close\r\n"
        if head.startswith(b"get /calls "):
            self.transport.write(http(b"%d" % Counter.calls, extra=close))
        elif head.startswith(b"delete "):
            self.transport.write(http(b"", extra=close))
        else:
            self.transport.write(http(b"", b"405 Method Not Allowed", b"Allow: POST\r\n" + close))
        self.transport.close()


async def serve(count: int) -> None:
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    servers = [await loop.create_server(Server, "127.0.0.1", 0, backlog=1024) for _ in range(count)]
    print(json.dumps([server.sockets[0].getsockname()[1] for server in servers]), flush=True)
    await stop.wait()
    for server in servers:
        server.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ports", type=int, default=3)
    uvloop.run(serve(parser.parse_args().ports))


if __name__ == "__main__":
    main()
