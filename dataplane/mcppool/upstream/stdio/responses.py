"""HTTP responses of the adapter of local servers."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

from aiohttp import web

from mcppool.turns import in_turns
from mcppool.upstream.stdio.pending_request import PendingRequest
from mcppool.upstream.stdio.streams import ONE_LINE, SLICE
from mcppool.wire.bulk import BULK, Bulk, read_in_slices
from mcppool.wire.errors import METHOD_NOT_FOUND, error_body
from mcppool.wire.rpc_request import RpcRequest
from mcppool.wire.sse import render
from mcppool.wire.versions import LATEST_LEGACY

MAX_BODY = 64 * 1024 * 1024  # bytes of a request


async def relay(http: web.Request, exchange: PendingRequest) -> web.StreamResponse:
    """Answer with JSON if the answer comes first, else with a stream of the messages before it."""
    stream: web.StreamResponse | None = None
    while (message := await exchange.messages.get()) is not None:
        last = exchange.answered and len(exchange.messages) == 1
        if last and stream is None:
            return await answer_json(http, message)
        stream = stream or await begin_stream(http)
        await write_event(stream, message)
        if last:
            await stream.write_eof()
            return stream
    return await cut(http)


def greet_probe(request: RpcRequest, id: str) -> web.Response:
    """A check's session on a program of the modern era: it lives as long as the first process, and shows that."""
    result = b'{"protocolVersion":"%b","capabilities":{},"serverInfo":{"name":"mcppool","version":"0"}}'
    body = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request.id or b"null", result % LATEST_LEGACY.encode())
    return json_response(200, body, {"mcp-session-id": id})


def answer_probe(request: RpcRequest) -> web.Response:
    """Answer a message of a check's session."""
    if request.kind != "request":
        return web.Response(status=202)
    if request.method != "ping":
        return json_response(200, error_body(request.id, METHOD_NOT_FOUND, "A check's session has no process"))
    return json_response(200, b'{"jsonrpc":"2.0","id":%b,"result":{}}' % (request.id or b"null"))


async def message_or_end(message: Awaitable[bytes | None], ended: Awaitable[object]) -> bytes | None:
    """A message, or None if the end comes first."""
    one, two = asyncio.ensure_future(message), asyncio.ensure_future(ended)
    try:
        await asyncio.wait({one, two}, return_when=asyncio.FIRST_COMPLETED)
        return one.result() if one.done() else None
    finally:
        one.cancel()
        two.cancel()


async def begin_stream(http: web.Request) -> web.StreamResponse:
    """Begin an event stream."""
    stream = web.StreamResponse(
        headers={"content-type": "text/event-stream", "cache-control": "no-cache, no-transform"}
    )
    await stream.prepare(http)
    return stream


async def cut(http: web.Request) -> web.StreamResponse:
    """The process has ended, and the outcome of the request is unknown: answer like a broken connection."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response()  # for aiohttp, which finds that the connection is gone


async def write_event(stream: web.StreamResponse, message: bytes) -> None:
    """Write a message as an event, a large one in parts."""
    if len(message) <= BULK:
        await stream.write(render(message.replace(b"\r", b" ")))  # it has no line feeds
        return
    await stream.write(b"event: message\ndata: ")
    for at in range(0, len(message), SLICE):
        await stream.write(message[at : at + SLICE].translate(ONE_LINE))
        await asyncio.sleep(0)
    await stream.write(b"\n\n")


async def answer_json(http: web.Request, message: bytes, headers: dict[str, str] | None = None) -> web.StreamResponse:
    """Answer with a whole JSON message, a large one in parts."""
    if len(message) <= BULK:
        return json_response(200, message, headers)
    response = web.StreamResponse(headers={**(headers or {}), "content-type": "application/json"})
    response.content_length = len(message)
    with suppress(ConnectionResetError):  # its reader is gone, which aiohttp finds out, too
        await response.prepare(http)
        for at in range(0, len(message), SLICE):
            await response.write(message[at : at + SLICE])
            await asyncio.sleep(0)
        await response.write_eof()
    return response


async def read_body(http: web.Request) -> bytes:
    """The body of a request, a large one as `Bulk` that was read in slices. Raises HTTPRequestEntityTooLarge."""
    if http.content_length is not None and http.content_length <= BULK:
        return await http.read()
    body = Bulk()
    while piece := await http.content.readany():
        if len(body) + len(piece) > MAX_BODY:
            raise web.HTTPRequestEntityTooLarge(MAX_BODY, len(body) + len(piece))
        body.extend(piece)
    if len(body) <= BULK:
        return bytes(body)
    await in_turns(read_in_slices(body))
    return body


def json_response(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    """A whole JSON message."""
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
