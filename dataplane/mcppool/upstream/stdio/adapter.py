"""Streamable HTTP in front of the processes of one slot.

aiohttp, because it is not the hot path: a program on a pipe takes longer than this does.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from time import monotonic

import msgspec
from aiohttp import web

from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.probe import MODERN_META
from mcppool.upstream.stdio.conversation import Conversation, Exchange
from mcppool.wire.envelope import BadEnvelope, Request, canonical_id, parse_request, parse_response
from mcppool.wire.errors import INVALID_REQUEST, METHOD_NOT_FOUND, error_body
from mcppool.wire.members import replace_at
from mcppool.wire.sse import render
from mcppool.wire.versions import LEGACY_VERSIONS

ERA_PATIENCE = 10.0  # seconds to start and to say something; some old servers ignore what comes before `initialize`
MAX_BODY = 64 * 1024 * 1024

Spawn = Callable[[], Awaitable[Conversation]]


class SessionProcess:
    """A legacy session and the process that is its own; the stream of what the server sends unasked has one reader."""

    def __init__(self, conversation: Conversation) -> None:
        self.conversation = conversation
        self.last_used = monotonic()
        self.streaming = False


class Adapter:
    """The endpoint's HTTP side. `main` serves requests of the modern era.

    Where sessions hold no state they share one process: `main`, or one more where that has spoken the modern era, for a
    process speaks the era of its first message.
    """

    def __init__(
        self, main: Conversation, spawn: Spawn, *, modern: bool, shared: bool, idle_timeout: float, max_sessions: int
    ) -> None:
        self._main = main
        self._spawn = spawn
        self._shared = shared
        self._idle_timeout = idle_timeout
        self._max_sessions = max_sessions
        self._sessions: dict[str, SessionProcess] = {}
        self._modern = modern
        self._claimed = False  # a session has `main` for its own
        self._greeting: bytes | None = None  # the answer to `initialize` that all sessions of a shared process get
        self._greeted = main
        self._greeting_lock = asyncio.Lock()

    def app(self) -> web.Application:
        """The application for a listener."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/mcp", self._post)
        app.router.add_get("/mcp", self._get)
        app.router.add_delete("/mcp", self._delete)
        return app

    async def sweep(self, now: float) -> None:
        """End sessions that nobody has used for `idle_timeout` seconds."""
        for id, session in list(self._sessions.items()):
            if now - session.last_used > self._idle_timeout and not session.streaming:
                await self._end(id)

    # --- HTTP ------------------------------------------------------------------------------------------------------

    async def _post(self, http: web.Request) -> web.StreamResponse:
        body = await http.read()
        try:
            request = parse_request(body)
        except BadEnvelope as bad:
            return _json(400, error_body(None, bad.code, bad.message))
        version = http.headers.get("mcp-protocol-version")
        if version is not None and version not in LEGACY_VERSIONS:
            return await self._stateless(http, request, body)
        if request.method == "initialize":
            return await self._initialize(http, request, body)
        id = http.headers.get("mcp-session-id", "")
        session = self._sessions.get(id)
        if session is None:
            return _json(404, error_body(request.id, INVALID_REQUEST, "Session not found"))
        session.last_used = monotonic()
        if session.conversation.process.ended.is_set():
            await self._end(id)
            return _json(404, error_body(request.id, INVALID_REQUEST, "Session not found"), {"mcppool-session": "lost"})
        if request.kind == "request":
            return await self._exchange(http, session.conversation, request, body, session=id)
        self._forward(session.conversation, request, body, id)
        return web.Response(status=202)

    async def _get(self, http: web.Request) -> web.StreamResponse:
        session = self._sessions.get(http.headers.get("mcp-session-id", ""))
        if session is None:
            return _json(404, error_body(None, INVALID_REQUEST, "Session not found"))
        if session.streaming or self._shared:
            return _json(
                409 if session.streaming else 405, error_body(None, INVALID_REQUEST, "There is no stream to open")
            )
        session.streaming = True
        try:
            stream = await _begin(http)
            while not session.conversation.process.ended.is_set():
                message = await _first(
                    session.conversation.unsolicited.get(), session.conversation.process.ended.wait()
                )
                if message is not None:
                    await stream.write(render(message))
            return stream
        finally:
            session.streaming = False
            session.last_used = monotonic()

    async def _delete(self, http: web.Request) -> web.StreamResponse:
        id = http.headers.get("mcp-session-id", "")
        if id not in self._sessions:
            return _json(404, error_body(None, INVALID_REQUEST, "Session not found"))
        await self._end(id)
        return web.Response(status=200)

    # --- eras ------------------------------------------------------------------------------------------------------

    async def _stateless(self, http: web.Request, request: Request, body: bytes) -> web.StreamResponse:
        if request.kind != "request":
            return web.Response(status=202)
        if not self._modern:
            return _json(404, error_body(request.id, METHOD_NOT_FOUND, "This server speaks older versions only"))
        return await self._exchange(http, self._main, request, body)

    async def _initialize(self, http: web.Request, request: Request, body: bytes) -> web.StreamResponse:
        if len(self._sessions) >= self._max_sessions:
            return _json(503, error_body(request.id, INVALID_REQUEST, "There are too many sessions"))
        id = secrets.token_urlsafe(24)
        headers = {"mcp-session-id": id}
        if self._shared:
            answer = await self._greet(request, body)
            conversation = self._greeted
        else:
            conversation = await self._process_for_session()
            try:
                answer = await _answer(conversation.begin(request, body)[1])
            except BaseException:
                await asyncio.shield(conversation.process.stop())  # no session came about that could use it
                raise
        if answer is None:
            return await _cut(http)
        self._sessions[id] = SessionProcess(conversation)
        return _json(200, answer, headers)

    async def _greet(self, request: Request, body: bytes) -> bytes | None:
        """The shared process is initialised once; each further session gets the same answer, under its own id."""
        async with self._greeting_lock:
            if self._greeting is None or self._greeted.process.ended.is_set():
                if self._modern:
                    self._greeted = await self._spawn()
                self._greeting = await _answer(self._greeted.begin(request, body)[1])
                if self._greeting is not None:
                    self._greeted.process.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}')
        return None if self._greeting is None else replace_at(self._greeting, ("id",), request.id or b"null")

    async def _process_for_session(self) -> Conversation:
        """The main process, where nobody else has use for it; else a new one."""
        if not self._modern and not self._claimed:
            self._claimed = True
            return self._main
        return await self._spawn()

    def _forward(self, conversation: Conversation, request: Request, body: bytes, session: str) -> None:
        """A notification, or the answer to a question of the server's."""
        if self._shared and request.method == "notifications/initialized":
            return
        if request.method != "notifications/cancelled":
            conversation.process.send(body)
        elif (id := _cancelled(conversation, body, session)) is not None:
            conversation.process.send(replace_at(body, ("params", "requestId"), id))
            conversation.cancelled(id)

    async def _end(self, id: str) -> None:
        session = self._sessions.pop(id, None)
        if session is not None and not self._shared:
            await session.conversation.process.stop()

    async def _exchange(
        self, http: web.Request, conversation: Conversation, request: Request, body: bytes, *, session: str = ""
    ) -> web.StreamResponse:
        """One request, of a session where it is of the older era: JSON where the answer comes first, else a stream of
        what comes before it."""
        id, exchange = conversation.begin(request, body, session)
        stream: web.StreamResponse | None = None
        try:
            while True:
                message = await _next(
                    exchange, None if session and self._sessions_stream(conversation) else conversation
                )
                if message is None:
                    return await _cut(http) if stream is None else stream
                last = exchange.answered and exchange.messages.qsize() == 1
                if last and stream is None:
                    return _json(200, message)
                stream = stream or await _begin(http)
                await stream.write(render(message))
                if last:
                    await stream.write_eof()
                    return stream
        except (asyncio.CancelledError, ConnectionResetError):
            if not session:  # leaving cancels in the modern era, and does not in the older one
                conversation.cancel(id)
            raise

    def _sessions_stream(self, conversation: Conversation) -> bool:
        """Whether what the server says unasked has a stream of its own."""
        return self._shared or any(s.streaming for s in self._sessions.values() if s.conversation is conversation)


async def speaks_modern(conversation: Conversation) -> bool:
    """Which era a process that was just started speaks. Raises ConnectionLost where it ends instead of saying so."""
    body = msgspec.json.encode(
        {"jsonrpc": "2.0", "id": 0, "method": "server/discover", "params": {"_meta": MODERN_META}}
    )
    _, exchange = conversation.begin(parse_request(body), body)
    try:
        async with asyncio.timeout(ERA_PATIENCE):
            answer = await _answer(exchange)
    except TimeoutError:
        return False
    if answer is None:
        raise ConnectionLost("the process ended at its start")
    return not parse_response(answer).is_error


class _CancelledParams(msgspec.Struct):
    requestId: msgspec.Raw  # noqa: N815 (the wire's spelling)


class _Cancelled(msgspec.Struct):
    params: _CancelledParams


def _cancelled(conversation: Conversation, body: bytes, session: str) -> bytes | None:
    """The id on the process of the request that a session cancels; None where nothing of its own is under way."""
    try:
        client_id = canonical_id(bytes(msgspec.json.decode(body, type=_Cancelled).params.requestId))
    except (msgspec.MsgspecError, BadEnvelope):
        return None
    return conversation.id_of(session, client_id)


async def _next(exchange: Exchange, conversation: Conversation | None) -> bytes | None:
    """The exchange's next message; where a conversation is given, also what its server says unasked."""
    if conversation is None:
        return await exchange.messages.get()
    if not exchange.messages.empty():
        return exchange.messages.get_nowait()
    own = asyncio.ensure_future(exchange.messages.get())
    other = asyncio.ensure_future(conversation.unsolicited.get())
    try:
        await asyncio.wait({own, other}, return_when=asyncio.FIRST_COMPLETED)
        if other.done() and own.done():
            conversation.unsolicited.put_nowait(other.result())
        return own.result() if own.done() else other.result()
    finally:
        own.cancel()
        other.cancel()


async def _first(message: Awaitable[bytes], ended: Awaitable[object]) -> bytes | None:
    """A message, or None where the end comes first."""
    one, two = asyncio.ensure_future(message), asyncio.ensure_future(ended)
    try:
        await asyncio.wait({one, two}, return_when=asyncio.FIRST_COMPLETED)
        return one.result() if one.done() else None
    finally:
        one.cancel()
        two.cancel()


async def _answer(exchange: Exchange) -> bytes | None:
    """The answer alone; None where the process ended first."""
    last: bytes | None = None
    while (message := await exchange.messages.get()) is not None:
        last = message
    return last


async def _begin(http: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(
        headers={"content-type": "text/event-stream", "cache-control": "no-cache, no-transform"}
    )
    await stream.prepare(http)
    return stream


async def _cut(http: web.Request) -> web.StreamResponse:
    """The process has ended, and nobody knows what became of the request: so does a connection that breaks."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response()  # for aiohttp, which finds that there is nobody to write it to


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
