"""Many clients in this process, for `bench/scale.py`: sessions, open event streams, and readers that take their time.

Clients come from several addresses of 127.0.0.0/8, as they would from several machines: the gateway bounds what one
address may have, and a port of an address serves one connection.
"""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

from bench.answers import LAST_CHUNK
from bench.client import CLIENT, LEGACY, META, MODERN
from bench.processes import Failed

ADDRESSES = tuple(f"127.0.0.{number}" for number in range(11, 27))
AT_ONCE = 64
PATIENCE = 60.0
"""Seconds that a client waits for an answer."""
SIP = 16 * 1024
"""Bytes that a slow reader takes at once."""


def address(number: int) -> str:
    """Return the address of a client."""
    return ADDRESSES[number % len(ADDRESSES)]


def post(url: str, message: dict[str, Any], headers: dict[str, str]) -> bytes:
    """Return the bytes of a request."""
    place = urlsplit(url)
    body = json.dumps(message).encode()
    lines = {
        "Host": place.netloc, "Content-Type": "application/json", "Accept": "application/json, text/event-stream",
        "Content-Length": str(len(body)), **headers,
    }  # fmt: skip
    return _head("POST", place.path, lines) + body


def call(url: str, number: int, size: int, tool: str) -> bytes:
    """Return the bytes of a modern call of a tool whose answer has so many bytes."""
    params = {"name": tool, "arguments": {"text": "x", "size": size}, "_meta": META}
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": "tools/call", "Mcp-Name": tool}
    return post(url, {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": params}, headers)


def _head(method: str, path: str, headers: dict[str, str]) -> bytes:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"{method} {path} HTTP/1.1\r\n{lines}\r\n".encode()


class Connection:
    """A kept-alive connection whose answers have a Content-Length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @staticmethod
    async def open(url: str, number: int) -> Connection:
        place = urlsplit(url)
        return Connection(*await asyncio.open_connection(place.hostname, place.port, local_addr=(address(number), 0)))

    async def send(self, request: bytes) -> tuple[int, dict[str, str]]:
        """Send a request; return status and headers of its answer."""
        self.writer.write(request)
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        pairs = (line.partition(": ") for line in lines if line)
        return int(first.split()[1]), {name.lower(): value for name, _, value in pairs}

    async def ask(self, request: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send a request; return status, headers and body of its answer."""
        status, headers = await self.send(request)
        async with asyncio.timeout(PATIENCE):
            return status, headers, await self.reader.readexactly(int(headers.get("content-length", 0)))

    async def open_session(self, url: str) -> str:
        """Open a legacy session; return its id."""
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
        message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        status, headers, body = await self.ask(post(url, message, {}))
        if status != 200 or "mcp-session-id" not in headers:
            raise Failed(f"initialize: {status} {body[:300]!r}")
        session = headers["mcp-session-id"]
        ready = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        status, _, body = await self.ask(post(url, ready, session_headers(session)))
        if status != 202:
            raise Failed(f"notifications/initialized: {status} {body[:300]!r}")
        return session

    def close(self) -> None:
        self.writer.close()


def session_headers(session: str) -> dict[str, str]:
    return {"MCP-Protocol-Version": LEGACY, "Mcp-Session-Id": session}


async def sessions(url: str, count: int) -> list[str]:
    """Open that many sessions, over a few connections; return their ids."""
    opened: list[str] = []
    numbers = iter(range(count))

    async def worker(number: int) -> None:
        connection = await Connection.open(url, number)
        try:
            for _ in numbers:
                opened.append(await connection.open_session(url))  # noqa: PERF401 (the next may be another worker's)
        finally:
            connection.close()

    async with asyncio.TaskGroup() as group:
        for number in range(min(AT_ONCE, count)):
            group.create_task(worker(number))
    return opened


async def streams(url: str, ids: Sequence[str]) -> list[Connection]:
    """Open an event stream (GET) of each session; return them, open."""
    place = urlsplit(url)
    limit = asyncio.Semaphore(AT_ONCE)

    async def open_one(number: int, session: str) -> Connection:
        async with limit:
            connection = await Connection.open(url, number)
            headers = {"Host": place.netloc, "Accept": "text/event-stream", **session_headers(session)}
            status, found = await connection.send(_head("GET", place.path, headers))
            if status != 200 or not found.get("content-type", "").startswith("text/event-stream"):
                raise Failed(f"GET of an event stream: {status} {found}")
            return connection

    return await asyncio.gather(*(open_one(number, session) for number, session in enumerate(ids)))


class SlowReader:
    """A client that asks for a large answer and takes nothing of it, and later takes it in sips."""

    def __init__(self, url: str, number: int, size: int, tool: str) -> None:
        self.url, self.number, self.size, self.tool = url, number, size, tool
        self.taken = 0
        self.socket = socket.socket()

    async def ask(self) -> None:
        place = urlsplit(self.url)
        loop = asyncio.get_running_loop()
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)  # so that the bytes wait with the sender
        self.socket.bind((address(self.number), 0))
        await loop.sock_connect(self.socket, (place.hostname, place.port))
        await loop.sock_sendall(self.socket, call(self.url, self.number, self.size, self.tool))

    async def read(self, pause: float) -> None:
        """Take the whole answer, a sip at a time. Raises Failed if it is cut or not the right one."""
        loop = asyncio.get_running_loop()
        first = last = b""
        async with asyncio.timeout(PATIENCE):
            while not is_whole(first, last, self.taken):
                data = await loop.sock_recv(self.socket, SIP)
                if not data:
                    raise Failed(f"a slow reader got {self.taken} bytes, then the end: {first[:300]!r}")
                self.taken += len(data)
                first, last = first or data, (last + data)[-len(LAST_CHUNK) :]
                await asyncio.sleep(pause)
        if not first.startswith(b"HTTP/1.1 200 ") or self.taken < self.size:
            raise Failed(f"a slow reader got {self.taken} bytes: {first[:300]!r}")

    def close(self) -> None:
        with suppress(OSError):
            self.socket.close()


def is_whole(first: bytes, last: bytes, taken: int) -> bool:
    """Whether an answer is whole, by its first bytes (with its head), its last ones, and their number so far."""
    head, _, _ = first.lower().partition(b"\r\n\r\n")
    if b"\r\ntransfer-encoding: chunked" in head:
        return last == LAST_CHUNK
    _, found, rest = head.partition(b"\r\ncontent-length:")
    return bool(found) and taken >= len(head) + 4 + int(rest.split(b"\r\n")[0])
