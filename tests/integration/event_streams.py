"""Event streams as bytes: servers that send them as a test says, and clients that read them block by block."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import aiohttp

from tests.integration.raw_session import HEADERS, RawSession
from tests.servers import Gateway
from tests.servers.faults import Behaviour, Exchange

EVENTS_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


async def begin(exchange: Exchange) -> None:
    """The head of a stream."""
    await exchange.send(EVENTS_HEAD)


async def send(exchange: Exchange, *blocks: bytes) -> None:
    """Blocks of a stream, each in a chunk."""
    for block in blocks:
        await exchange.send(b"%x\r\n%b\r\n" % (len(block), block))


async def end(exchange: Exchange) -> None:
    """The clean end of a stream."""
    await exchange.send(b"0\r\n\r\n")


def event(message: Any, id: object = None) -> bytes:
    """An event with a JSON-RPC message."""
    line = b"" if id is None else b"id: %b\n" % str(id).encode()
    return b"%bdata: %b\n\n" % (line, json.dumps(message).encode())


def log_message(n: int, id: object = None) -> bytes:
    """The event of a log message whose data is `n`."""
    params = {"level": "info", "data": n}
    return event({"jsonrpc": "2.0", "method": "notifications/message", "params": params}, id)


def streaming(*blocks: bytes, answers: bool = True, ends: bool = True) -> Behaviour:
    """Sends blocks, then perhaps the answer, and ends the stream or breaks the connection."""

    async def behave(exchange: Exchange) -> None:
        exchange.execute()
        await begin(exchange)
        await send(exchange, *blocks)
        if answers:
            await send(exchange, event(exchange.answer()))
        if ends:
            await end(exchange)
        else:
            exchange.reset()

    return behave


class Blocks:
    """The blocks of a stream, without the empty line at their ends; `b""` at the stream's clean end."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._content = response.content
        self._buffer = b""

    async def next(self) -> bytes:
        """The next block. Raises aiohttp.ClientPayloadError where the stream is cut."""
        while b"\n\n" not in self._buffer:
            async with asyncio.timeout(90):
                part = await self._content.readany()
            if not part:
                assert not self._buffer, "a half event at the end"
                return b""
            self._buffer += part
        block, _, self._buffer = self._buffer.partition(b"\n\n")
        return block

    async def message(self) -> bytes:
        """The next block with a message: a silent stream gets comments of the gateway."""
        while (block := await self.next()) and message_of(block) is None:
            pass
        return block

    async def rest(self) -> list[bytes]:
        """All blocks until the end."""
        blocks = []
        while block := await self.next():
            blocks.append(block)
        return blocks


def message_of(block: bytes) -> Any:
    """The JSON-RPC message of a block; None if it has none."""
    data = b"\n".join(line[5:].strip() for line in block.split(b"\n") if line.startswith(b"data:"))
    return json.loads(data) if data else None


def session_headers(session: RawSession, more: Mapping[str, str] | None = None) -> dict[str, str]:
    """The headers of a request of the session."""
    return {**HEADERS, "Mcp-Session-Id": session.id, "MCP-Protocol-Version": "2025-11-25", **(more or {})}


@asynccontextmanager
async def posting(
    http: aiohttp.ClientSession, front: Gateway, session: RawSession, message: dict[str, Any]
) -> AsyncIterator[Blocks]:
    """The stream on which a request of the session is answered."""
    async with http.post(front.url, json=message, headers=session_headers(session)) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        yield Blocks(response)


@asynccontextmanager
async def getting(
    http: aiohttp.ClientSession, front: Gateway, session: RawSession, last: str | None = None
) -> AsyncIterator[Blocks]:
    """The session's GET stream, resumed after the event `last`."""
    more = {"Last-Event-ID": last} if last is not None else {}
    async with http.get(front.url, headers=session_headers(session, more)) as response:
        assert (response.status, response.content_type) == (200, "text/event-stream")
        yield Blocks(response)
