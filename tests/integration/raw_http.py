"""HTTP as bytes on a socket, for input and output that a client library would hide."""

from __future__ import annotations

import asyncio
import json
import ssl
from typing import Any

from tests.servers import Gateway, modern_call

HOST = "127.0.0.1"


def request(body: bytes, headers: dict[str, str], *, path: str = "/mcp", method: str = "POST", more: str = "") -> bytes:
    """A request as its bytes."""
    lines = [f"{method} {path} HTTP/1.1", f"Host: {HOST}", f"Content-Length: {len(body)}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n" + more + "\r\n").encode() + body


def tool_call(
    tool: str, *, request_id: int | str = 1, more: str = "", arguments: dict[str, Any] | None = None
) -> bytes:
    """A modern call of a tool as its bytes."""
    headers, body = modern_call(tool, arguments, request_id=request_id)
    return request(body, headers, more=more)


class Answer:
    """One answer; `body` is without its chunks."""

    def __init__(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"Answer({self.status}, {self.headers}, {self.body[:500]!r})"

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error of a JSON-RPC answer."""
        error: dict[str, Any] = self.json["error"]
        return error


class RawClient:
    """`async with RawClient(gateway) as client`: one connection, from the address `source`; with `trust` over TLS."""

    def __init__(self, gateway: Gateway, source: str = HOST, trust: ssl.SSLContext | None = None) -> None:
        self._port = gateway.port
        self._source = source
        self._trust = trust

    async def __aenter__(self) -> RawClient:
        self.reader, self.writer = await asyncio.open_connection(
            HOST, self._port, local_addr=(self._source, 0), ssl=self._trust
        )
        return self

    async def __aexit__(self, *exception: object) -> None:
        self.writer.close()
        if self._trust is not None:  # the end of TLS would wait for the other side's part
            self.writer.transport.abort()

    async def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next answer."""
        lines = (await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), 90)).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:-2])}
        return int(lines[0].split(" ")[1]), headers

    async def chunk(self) -> bytes:
        """The next chunk of a body; `b""` at its clean end. Raises IncompleteReadError if it was cut."""
        size = int((await asyncio.wait_for(self.reader.readuntil(b"\r\n"), 90)).strip(), 16)
        return (await self.reader.readexactly(size + 2))[:-2]

    async def answer(self, *, bodyless: bool = False) -> Answer:
        """The next answer, whole."""
        status, headers = await self.head()
        if bodyless or status == 100:
            return Answer(status, headers, b"")
        if "content-length" in headers:
            length = int(headers["content-length"])
            return Answer(status, headers, await asyncio.wait_for(self.reader.readexactly(length), 90))
        if headers.get("transfer-encoding") == "chunked":
            parts = []
            while part := await self.chunk():
                parts.append(part)
            return Answer(status, headers, b"".join(parts))
        return Answer(status, headers, await asyncio.wait_for(self.reader.read(), 90))

    async def ended(self) -> bool:
        """Whether the gateway ends the connection without further bytes."""
        return await asyncio.wait_for(self.reader.read(1), 90) == b""


async def ask(gateway: Gateway, data: bytes, source: str = HOST) -> Answer:
    """One answer on a connection of its own."""
    async with RawClient(gateway, source) as client:
        await client.send(data)
        return await client.answer()
