"""The fast upstream of the benchmarks: an echo MCP server on raw asyncio, one process, one endpoint per port.

It speaks both eras and accepts any session id on any port, so that peers without session affinity can be measured too.
Each tool echoes its text in a form of its own (`bench/answers.py`); with an argument `size`, a text of so many bytes
follows. `GET /calls` answers how many tool calls were executed so far: the benchmark compares that with what the load
generator counted, so that no target can win by not forwarding.

    python -m bench.upstream --ports 3        prints the ports as one JSON line on stdout, then serves until SIGTERM
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
import secrets
import signal
from typing import Annotated, cast

import msgspec
import uvloop

from bench.answers import FORMS, UVICORN_HEAD, Parts, filler

MODERN = "2026-07-28"
LEGACY = ("2025-11-25", "2025-06-18", "2025-03-26")
MAX_REQUEST = 8 << 20
MAX_SIZE = 64 << 20

SERVER_INFO = {"name": "bench-echo", "version": "1"}
INPUT = {
    "type": "object",
    "properties": {"text": {"type": "string"}, "size": {"type": "integer"}},
    "required": ["text"],
}
ECHO_TOOLS = [
    {"name": name, "description": "Echoes its text.", "inputSchema": INPUT, "annotations": {"readOnlyHint": True}}
    for name in FORMS
]
MODERN_END = {
    "resultType": "complete",
    "_meta": {"io.modelcontextprotocol/serverInfo": SERVER_INFO},
}
HINTS = {"ttlMs": 60000, "cacheScope": "private"}
DISCOVER = msgspec.json.encode({"supportedVersions": [MODERN], "capabilities": {"tools": {}}, **HINTS, **MODERN_END})
TOOLS = msgspec.json.encode({"tools": ECHO_TOOLS})
MODERN_TOOLS = msgspec.json.encode({"tools": ECHO_TOOLS, **HINTS, **MODERN_END})
END = b',"isError":false}'
MODERN_RESULT_END = b',"isError":false,' + msgspec.json.encode(MODERN_END)[1:]

_content_length = re.compile(rb"\r\ncontent-length:[ \t]*(\d+)[ \t]*\r\n").search


class Arguments(msgspec.Struct, frozen=True):
    text: msgspec.Raw = msgspec.Raw(b'""')
    size: Annotated[int, msgspec.Meta(ge=0, le=MAX_SIZE)] = 0


class Meta(msgspec.Struct, frozen=True):
    progress_token: msgspec.Raw = msgspec.field(name="progressToken", default=msgspec.Raw(b""))


class Params(msgspec.Struct, frozen=True):
    name: str = ""
    arguments: Arguments = Arguments()
    meta: Meta = msgspec.field(name="_meta", default=Meta())
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


def post(head: bytes, body: bytes) -> Parts:
    """The answer to one POST, in the parts in which it is written; `head` is in lower case."""
    try:
        message = _decode(body)
    except msgspec.DecodeError:
        return (error(b"null", -32700, b"not JSON-RPC", b"400 Bad Request"),)
    modern = b"\r\nmcp-method:" in head  # demanded of modern requests, unknown to legacy ones
    if message.method == "tools/call" and (form := FORMS.get(message.params.name)) is not None and message.id:
        Counter.calls += 1
        params = message.params
        return form(bytes(message.id), content(params.arguments, modern), bytes(params.meta.progress_token))
    return (other_post(message, modern),)


def content(arguments: Arguments, modern: bool) -> bytes:
    """The result of a tool."""
    end = MODERN_RESULT_END if modern else END
    text = bytes(arguments.text)
    if not arguments.size:
        return b'{"content":[{"type":"text","text":%b}]%b' % (text, end)
    more = filler(arguments.size)
    return b'{"content":[{"type":"text","text":%b},{"type":"text","text":%b}]%b' % (text, more, end)


def other_post(message: Message, modern: bool) -> bytes:
    """The answer to a POST that calls none of the tools."""
    id, method = bytes(message.id), message.method
    if not id:
        return http(b"", b"202 Accepted")
    if method == "tools/call":
        return error(id, -32602, b"unknown tool", b"200 OK")
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
        self.unwritten: list[bytes] = []
        """The last parts of the answer, in reverse. Further requests wait for them."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        buffer = self.buffer + data if self.buffer else data
        while buffer and not self.unwritten:
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
                first, *rest = post(head, buffer[end:stop])
                self.transport.write(first)
                if rest:
                    self.unwritten = rest[::-1]
                    self.loop.call_soon(self.write_next)
            else:
                self.other(head)
                return
            buffer = buffer[stop:]
        if len(buffer) > MAX_REQUEST:
            self.transport.close()
        self.buffer = buffer

    def write_next(self) -> None:
        """Write one part in each turn of the loop: each becomes a system call and a segment of its own."""
        self.transport.write(self.unwritten.pop())
        if self.unwritten:
            self.loop.call_soon(self.write_next)
        elif self.buffer:
            self.data_received(b"")

    def other(self, head: bytes) -> None:
        """Answer a request that is not a POST, and close, unless it is for a stream: any body is not read."""
        close = b"Connection: close\r\n"
        if head.startswith(b"get /calls "):
            self.transport.write(http(b"%d" % Counter.calls, extra=close))
        elif head.startswith(b"get /mcp ") and b"text/event-stream" in head and b"\r\nmcp-session-id:" in head:
            self.transport.write(UVICORN_HEAD)  # the stream of a session: nothing happens on it, and it stays open
            return
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
