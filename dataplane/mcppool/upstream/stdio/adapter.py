"""Streamable HTTP in front of the processes of one replica.

It uses aiohttp, because it is not the hot path: a program on a pipe takes longer than aiohttp does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from time import monotonic

import msgspec
from aiohttp import web

from mcppool.spec import PoolSpec
from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.stdio.conversation import LASTING, Callers, Conversation, PendingRequest, ask
from mcppool.upstream.stdio.era import Main, greet
from mcppool.upstream.stdio.processes import Spare, Workers
from mcppool.upstream.stdio.quota import Quota, TooManyProcesses
from mcppool.upstream.stdio.session_table import StdioSession, StdioSessionTable
from mcppool.upstream.stdio.subscription import Subscription
from mcppool.wire.envelope import BadEnvelope, RpcRequest, canonical_id, parse_request
from mcppool.wire.errors import INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, error_body
from mcppool.wire.members import UNREADABLE
from mcppool.wire.places import replace_at
from mcppool.wire.sse import render
from mcppool.wire.versions import LATEST_LEGACY, LEGACY_VERSIONS, META_LOG_LEVEL

MAX_BODY = 64 * 1024 * 1024
PROBE = "mcppool-probe"  # header of the prober's checks, which need no process of their own
CLIENT = "mcppool-client"  # header with the address of a session's client
SESSION = "mcppool-session"  # header with the fate of a session: `lost` or `over`
RETRY_AFTER = 5  # seconds, when the process limit is reached

Spawn = Callable[[Callers], Awaitable[Conversation]]


class Adapter:
    """A replica's HTTP side.

    `sole_client` is the `clientInfo` of the only client, where there is only one: then its sessions share the first
    process.
    """

    def __init__(
        self,
        main: Main,
        spawn: Spawn,
        quota: Quota,
        *,
        spec: Callable[[], PoolSpec],
        sole_client: Mapping[str, str] | None = None,
        attended: Callable[[str], bool] = lambda _id: False,
    ) -> None:
        self._main = main
        self._spawn = spawn
        self._quota = quota
        self._spec = spec
        self._sole_client = sole_client
        self.sessions = StdioSessionTable(quota, attended)
        modern, shared = main.greeting is None, spec().sessions.stateless
        self.spare = Spare(spawn, quota, wanted=not modern and not shared and sole_client is None)
        self._workers = Workers(main.conversation, self.spare)
        self._greetings: dict[str, tuple[Conversation, bytes]] = {}
        self._greeting_lock = asyncio.Lock()

    def app(self) -> web.Application:
        """The aiohttp application for a listener."""
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/mcp", self._post)
        app.router.add_get("/mcp", self._get)
        app.router.add_delete("/mcp", self._delete)
        return app

    def replace(self, main: Main) -> None:
        """Replace the first process, which has ended."""
        self._main = main

    async def sweep(self, now: float) -> None:
        """End unused processes and sessions, and keep a spare process."""
        spec = self._spec()
        await self.sessions.sweep(now, spec.local.idle_timeout, spec.sessions.idle_timeout)
        await self._workers.sweep(now, spec.local.idle_timeout)
        self.spare.keep()

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
        if request.method == "initialize" and request.kind == "request":
            return await self._initialize(http, request, body)
        id = http.headers.get("mcp-session-id", "")
        session = self.sessions.find(id)
        if session is None or session.lost:
            return await self._unknown(id, request.id)
        session.last_used = monotonic()
        if session.conversation is None:
            return _answer_probe(request)
        try:
            if request.kind == "request":
                return await self._exchange(http, session.conversation, request, body, session=id)
            await self._forward(session, request, body, id)
        except ConnectionLost:
            return await self._unknown(id, request.id)
        finally:
            session.last_used = monotonic()
        return web.Response(status=202)

    async def _get(self, http: web.Request) -> web.StreamResponse:
        id = http.headers.get("mcp-session-id", "")
        session = self.sessions.find(id)
        if session is None or session.lost:
            return await self._unknown(id, None)
        conversation = session.conversation
        if session.streaming or not session.own or conversation is None:
            status = 409 if session.streaming else 405
            return _json(status, error_body(None, INVALID_REQUEST, "There is no stream to open"))
        session.streaming = conversation.listening = True
        try:
            stream = await _begin(http)
            ended = conversation.process.ended
            while (message := await _first(conversation.unsolicited.get(), ended.wait())) is not None:
                await stream.write(render(message))
            return stream
        finally:
            session.streaming = conversation.listening = False
            session.last_used = monotonic()

    async def _delete(self, http: web.Request) -> web.StreamResponse:
        id = http.headers.get("mcp-session-id", "")
        if self.sessions.find(id) is None:
            return await self._unknown(id, None)
        await self.sessions.end(id)
        return web.Response(status=200)

    async def _unknown(self, id: str, request_id: bytes | None) -> web.Response:
        """The protocol's 404, with the fate of the session for the gateway."""
        lost = self.sessions.find(id) is not None
        if lost:
            await self.sessions.end(id, over=False)
        known = "lost" if lost else "over" if self.sessions.is_over(id) else ""
        body = error_body(request_id, INVALID_REQUEST, "Session not found")
        return _json(404, body, {SESSION: known} if known else None)

    # --- the modern era --------------------------------------------------------------------------------------------

    async def _stateless(self, http: web.Request, request: RpcRequest, body: bytes) -> web.StreamResponse:
        if request.kind != "request":
            return web.Response(status=202)
        if self._main.greeting is not None:
            return _json(404, error_body(request.id, METHOD_NOT_FOUND, "This server speaks older versions only"))
        if request.method == "subscriptions/listen":
            return await self._listen(http, request, body)
        logs = _asks_for_logs(body)
        worker = await self._workers.pick(lasting=request.method in LASTING, logs=logs)
        try:
            return await self._exchange(http, worker, request, body, logs=logs, begun=self._workers.settled)
        except ConnectionLost as error:  # the process did not get the call, which may go elsewhere
            return _json(429, error_body(request.id, INTERNAL_ERROR, str(error)))

    async def _listen(self, http: web.Request, request: RpcRequest, body: bytes) -> web.StreamResponse:
        first = self._workers.first
        try:
            id, pending = await first.begin(request, body)
        except ConnectionLost as error:
            return _json(429, error_body(request.id, INTERNAL_ERROR, str(error)))
        subscription = Subscription(first, pending, request, body)
        try:
            await self._workers.subscribe(subscription)
            return await _relay(http, pending)
        except (asyncio.CancelledError, ConnectionResetError):
            first.cancel(id)
            raise
        finally:
            self._workers.unsubscribe(subscription)

    # --- sessions --------------------------------------------------------------------------------------------------

    async def _initialize(self, http: web.Request, request: RpcRequest, body: bytes) -> web.StreamResponse:
        if PROBE in http.headers and self._main.greeting is None:
            return _greet_probe(request, self.sessions.open(None))
        try:
            if PROBE in http.headers or self._is_sole_client(body):
                greeting, conversation = self._main.greeting or b"", self._main.conversation
                if conversation.process.ended.is_set():
                    return await _cut(http)
                return self._shared_session(request, greeting, conversation)
            if self._spec().sessions.stateless:
                conversation, greeting = await self._greeting(body)
                return self._shared_session(request, greeting, conversation)
            return await self._own_session(http, request, body)
        except TooManyProcesses as full:
            data = {"reason": "overloaded", "delivered": "no", "retryAfterMs": RETRY_AFTER * 1000}
            answer = error_body(request.id, INTERNAL_ERROR, f"Too many processes of this server: {full}", data)
            return _json(200, answer)  # an answer: other replicas would give the same
        except ConnectionLost:
            return await _cut(http)
        except OSError as error:
            return _json(503, error_body(request.id, INTERNAL_ERROR, f"The server cannot be started: {error.strerror}"))

    def _shared_session(self, request: RpcRequest, greeting: bytes, conversation: Conversation) -> web.Response:
        id = self.sessions.open(conversation)
        return _json(200, replace_at(greeting, ("id",), request.id or b"null"), {"mcp-session-id": id})

    async def _own_session(self, http: web.Request, request: RpcRequest, body: bytes) -> web.StreamResponse:
        if len(self.sessions) >= self._spec().sessions.max_sessions:
            raise TooManyProcesses(f"{len(self.sessions)} sessions, as many as sessions.max_sessions allows")
        client = http.headers.get(CLIENT, "")
        self._quota.demand(client)
        self._quota.charge(client)  # during its start, too
        conversation: Conversation | None = None
        try:
            conversation = await self.spare.take(Callers.SESSION)
            answer = await ask(conversation, request, body)
            id = self.sessions.open(conversation, own=True, client=client)
        except BaseException:
            if conversation is not None:
                await asyncio.shield(conversation.process.stop())  # no session came about that could use it
            raise
        finally:
            self._quota.release(client)
        return _json(200, answer, {"mcp-session-id": id})

    async def _greeting(self, body: bytes) -> tuple[Conversation, bytes]:
        """The process that sessions of one protocol version share, and its answer to `initialize`.

        It hears of no client capabilities, because it could not ask any one client.
        """
        asked = _version_of(body)
        version = asked if asked in LEGACY_VERSIONS else LATEST_LEGACY
        async with self._greeting_lock:
            known = self._greetings.get(version)
            if known is None and version == LATEST_LEGACY and self._main.greeting is not None:
                known = (self._main.conversation, self._main.greeting)
            if known is None or known[0].process.ended.is_set():
                conversation = await self._spawn(Callers.SHARED)
                params = {"protocolVersion": version, "capabilities": {}, "clientInfo": _client_of(body)}
                message = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
                try:
                    known = (conversation, await greet(conversation, msgspec.json.encode(message)))
                except BaseException:
                    await asyncio.shield(conversation.process.stop())
                    raise
            self._greetings[version] = known
        return known

    def _is_sole_client(self, body: bytes) -> bool:
        if self._sole_client is None or self._main.greeting is None:
            return False
        params = _initialize_params(body)
        return params.clientInfo == dict(self._sole_client) and not params.capabilities

    async def _forward(self, session: StdioSession, request: RpcRequest, body: bytes, id: str) -> None:
        """A notification, or a client's answer to a question of the server."""
        conversation = session.conversation
        assert conversation is not None
        if request.method == "notifications/cancelled":
            call = _cancelled(conversation, body, id)
            if call is not None:
                await conversation.process.send(replace_at(body, ("params", "requestId"), call))
                conversation.cancelled(call)
        elif session.own:
            await conversation.process.send(body)
        # A shared process gets nothing else: it is initialized already, and has asked no client.

    # --- one request -----------------------------------------------------------------------------------------------

    async def _exchange(
        self,
        http: web.Request,
        conversation: Conversation,
        request: RpcRequest,
        body: bytes,
        *,
        session: str = "",
        logs: bool = False,
        begun: Callable[[Conversation], None] = lambda _: None,
    ) -> web.StreamResponse:
        """One request, of a session in the legacy era. The reply is JSON if the answer comes first, else a stream of
        the messages before it."""
        try:
            id, exchange = await conversation.begin(request, body, session, logs=logs)
        finally:
            begun(conversation)
        try:
            return await _relay(http, exchange)
        except (asyncio.CancelledError, ConnectionResetError):
            if session:  # a disconnect cancels in the modern era, and does not in the legacy one
                conversation.forget(id)
            else:
                conversation.cancel(id)
            raise


async def _relay(http: web.Request, exchange: PendingRequest) -> web.StreamResponse:
    stream: web.StreamResponse | None = None
    while (message := await exchange.messages.get()) is not None:
        last = exchange.answered and len(exchange.messages) == 1
        if last and stream is None:
            return _json(200, message)
        stream = stream or await _begin(http)
        await stream.write(render(message))
        if last:
            await stream.write_eof()
            return stream
    return await _cut(http)


class _ClientParams(msgspec.Struct):
    protocolVersion: object = None  # noqa: N815 (the wire's spelling)
    clientInfo: object = None  # noqa: N815
    capabilities: object = None


class _Initialize(msgspec.Struct):
    params: _ClientParams = msgspec.field(default_factory=_ClientParams)


class _CancelledParams(msgspec.Struct):
    requestId: msgspec.Raw  # noqa: N815 (the wire's spelling)


class _Cancelled(msgspec.Struct):
    params: _CancelledParams


class _Meta(msgspec.Struct):
    log_level: msgspec.Raw | msgspec.UnsetType = msgspec.field(name=META_LOG_LEVEL, default=msgspec.UNSET)


class _MetaParams(msgspec.Struct):
    meta: _Meta | None = msgspec.field(name="_meta", default=None)


class _WithMeta(msgspec.Struct):
    params: _MetaParams | None = None


def _initialize_params(body: bytes) -> _ClientParams:
    try:
        return msgspec.json.decode(body, type=_Initialize).params
    except UNREADABLE:
        return _ClientParams()


def _version_of(body: bytes) -> object:
    return _initialize_params(body).protocolVersion


def _client_of(body: bytes) -> object:
    return _initialize_params(body).clientInfo or {"name": "mcppool", "version": "0"}


def _asks_for_logs(body: bytes) -> bool:
    try:
        params = msgspec.json.decode(body, type=_WithMeta).params
    except UNREADABLE:
        return False
    return params is not None and params.meta is not None and params.meta.log_level is not msgspec.UNSET


def _cancelled(conversation: Conversation, body: bytes, session: str) -> bytes | None:
    """The process's id of the request that a session cancels; None if it has no such request in flight."""
    try:
        client_id = canonical_id(bytes(msgspec.json.decode(body, type=_Cancelled).params.requestId))
    except (*UNREADABLE, BadEnvelope):
        return None
    return conversation.id_of(session, client_id)


def _greet_probe(request: RpcRequest, id: str) -> web.Response:
    """A check's session on a program of the modern era: it lives as long as the first process, and shows that."""
    result = b'{"protocolVersion":"%b","capabilities":{},"serverInfo":{"name":"mcppool","version":"0"}}'
    body = b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (request.id or b"null", result % LATEST_LEGACY.encode())
    return _json(200, body, {"mcp-session-id": id})


def _answer_probe(request: RpcRequest) -> web.Response:
    if request.kind != "request":
        return web.Response(status=202)
    if request.method != "ping":
        return _json(200, error_body(request.id, METHOD_NOT_FOUND, "A check's session has no process"))
    return _json(200, b'{"jsonrpc":"2.0","id":%b,"result":{}}' % (request.id or b"null"))


async def _first(message: Awaitable[bytes | None], ended: Awaitable[object]) -> bytes | None:
    """A message, or None if the end comes first."""
    one, two = asyncio.ensure_future(message), asyncio.ensure_future(ended)
    try:
        await asyncio.wait({one, two}, return_when=asyncio.FIRST_COMPLETED)
        return one.result() if one.done() else None
    finally:
        one.cancel()
        two.cancel()


async def _begin(http: web.Request) -> web.StreamResponse:
    stream = web.StreamResponse(
        headers={"content-type": "text/event-stream", "cache-control": "no-cache, no-transform"}
    )
    await stream.prepare(http)
    return stream


async def _cut(http: web.Request) -> web.StreamResponse:
    """The process has ended, and the outcome of the request is unknown: answer like a broken connection."""
    if http.transport is not None:
        http.transport.abort()
    return web.Response()  # for aiohttp, which finds that the connection is gone


def _json(status: int, body: bytes, headers: dict[str, str] | None = None) -> web.Response:
    return web.Response(status=status, body=body, content_type="application/json", headers=headers)
