"""Streamable HTTP in front of the processes of one replica.

It uses aiohttp, because it is not the hot path: a program on a pipe takes longer than aiohttp does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web

from mcppool.spec import PoolSpec
from mcppool.spec.plural import counted
from mcppool.turns import in_turns
from mcppool.upstream.failures import ConnectionLost
from mcppool.upstream.stdio.client_messages import (
    asks_for_logs,
    cancelled_request,
    initialize_params,
)
from mcppool.upstream.stdio.conversation import Callers, Conversation, ask
from mcppool.upstream.stdio.era import Main
from mcppool.upstream.stdio.greetings import Greetings
from mcppool.upstream.stdio.pending_request import ASIDE
from mcppool.upstream.stdio.processes import Spare, Workers
from mcppool.upstream.stdio.quota import Quota, TooManyProcesses
from mcppool.upstream.stdio.responses import (
    MAX_BODY,
    answer_json,
    answer_probe,
    begin_stream,
    cut,
    greet_probe,
    json_response,
    message_or_end,
    read_body,
    relay,
    write_event,
)
from mcppool.upstream.stdio.session_table import StdioSession, StdioSessionTable
from mcppool.upstream.stdio.subscription import Subscription
from mcppool.wire.bulk import BULK
from mcppool.wire.errors import INTERNAL_ERROR, INVALID_REQUEST, METHOD_NOT_FOUND, BadEnvelope, error_body
from mcppool.wire.places import replace_at, replaced
from mcppool.wire.rpc_request import RpcRequest, parse_request
from mcppool.wire.versions import LEGACY_VERSIONS

PROBE = "mcppool-probe"  # header of the prober's requests, which need no process of their own
CLIENT = "mcppool-client"  # header that identifies a session's client
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
        self._greetings = Greetings(spawn)

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
        body = await read_body(http)
        try:
            request = parse_request(body)
        except BadEnvelope as bad:
            return json_response(400, error_body(None, bad.code, bad.message))
        version = http.headers.get("mcp-protocol-version")
        if version is not None and version not in LEGACY_VERSIONS:
            return await self._stateless(http, request, body)
        if request.method == "initialize" and request.kind == "request":
            return await self._initialize(http, request, body)
        id = http.headers.get("mcp-session-id", "")
        session = self.sessions.find(id)
        if session is None or session.lost:
            return await self._unknown(id, request.id)
        session.use()
        if session.conversation is None:
            return answer_probe(request)
        try:
            if request.kind == "request":
                return await self._exchange(http, session.conversation, request, body, session=id)
            await self._forward(session, request, body, id)
        except ConnectionLost:
            return await self._unknown(id, request.id)
        finally:
            session.use()
        return web.Response(status=202)

    async def _get(self, http: web.Request) -> web.StreamResponse:
        id = http.headers.get("mcp-session-id", "")
        session = self.sessions.find(id)
        if session is None or session.lost:
            return await self._unknown(id, None)
        conversation = session.conversation
        if session.streaming or not session.own or conversation is None:
            status = 409 if session.streaming else 405
            return json_response(status, error_body(None, INVALID_REQUEST, "There is no stream to open"))
        session.streaming = conversation.listening = True
        try:
            stream = await begin_stream(http)
            ended = conversation.process.ended
            while (message := await message_or_end(conversation.unsolicited.get(), ended.wait())) is not None:
                await write_event(stream, message)
            return stream
        finally:
            session.streaming = conversation.listening = False
            session.use()

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
        return json_response(404, body, {SESSION: known} if known else None)

    # --- the modern era --------------------------------------------------------------------------------------------

    async def _stateless(self, http: web.Request, request: RpcRequest, body: bytes) -> web.StreamResponse:
        if request.kind != "request":
            return web.Response(status=202)
        if self._main.greeting is not None:
            return json_response(
                404, error_body(request.id, METHOD_NOT_FOUND, "This server speaks older versions only")
            )
        if request.method == "subscriptions/listen":
            return await self._listen(http, request, body)
        logs, aside = asks_for_logs(body), PROBE in http.headers or request.method in ASIDE
        worker = await self._workers.pick(aside=aside, logs=logs)
        try:
            return await self._exchange(
                http, worker, request, body, logs=logs, aside=aside, begun=self._workers.settled
            )
        except ConnectionLost as error:  # the process did not get the call, which may go elsewhere
            return json_response(429, error_body(request.id, INTERNAL_ERROR, str(error)))

    async def _listen(self, http: web.Request, request: RpcRequest, body: bytes) -> web.StreamResponse:
        first = self._workers.first
        try:
            id, pending = await first.begin(request, body)
        except ConnectionLost as error:
            return json_response(429, error_body(request.id, INTERNAL_ERROR, str(error)))
        subscription = Subscription(first, pending, request, body)
        try:
            await self._workers.subscribe(subscription)
            return await relay(http, pending)
        except (asyncio.CancelledError, ConnectionResetError):
            first.cancel(id)
            raise
        finally:
            self._workers.unsubscribe(subscription)

    # --- sessions --------------------------------------------------------------------------------------------------

    async def _initialize(self, http: web.Request, request: RpcRequest, body: bytes) -> web.StreamResponse:
        if PROBE in http.headers and self._main.greeting is None:
            return greet_probe(request, self.sessions.open(None))
        try:
            if PROBE in http.headers or self._is_sole_client(body):
                greeting, conversation = self._main.greeting or b"", self._main.conversation
                if conversation.process.ended.is_set():
                    return await cut(http)
                return await self._shared_session(http, request, greeting, conversation)
            if self._spec().sessions.stateless:
                conversation, greeting = await self._greetings.find(self._main, body)
                return await self._shared_session(http, request, greeting, conversation)
            return await self._own_session(http, request, body)
        except TooManyProcesses as full:
            data = {"reason": "overloaded", "delivered": "no", "retryAfterMs": RETRY_AFTER * 1000}
            answer = error_body(request.id, INTERNAL_ERROR, f"Too many processes of this server: {full}", data)
            return json_response(200, answer)  # an answer: other replicas would give the same
        except ConnectionLost:
            return await cut(http)
        except OSError as error:
            return json_response(
                503, error_body(request.id, INTERNAL_ERROR, f"The server cannot be started: {error.strerror}")
            )

    async def _shared_session(
        self, http: web.Request, request: RpcRequest, greeting: bytes, conversation: Conversation
    ) -> web.StreamResponse:
        id = request.id or b"null"
        if len(greeting) <= BULK:
            answer = replace_at(greeting, ("id",), id)
        else:
            answer = await in_turns(replaced(greeting, ("id",), id))
        return await answer_json(http, answer, {"mcp-session-id": self.sessions.open(conversation)})

    async def _own_session(self, http: web.Request, request: RpcRequest, body: bytes) -> web.StreamResponse:
        if len(self.sessions) >= self._spec().sessions.max_sessions:
            raise TooManyProcesses(f"{counted(len(self.sessions), 'session')}, as many as sessions.max_sessions allows")
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
        return await answer_json(http, answer, {"mcp-session-id": id})

    def _is_sole_client(self, body: bytes) -> bool:
        if self._sole_client is None or self._main.greeting is None:
            return False
        params = initialize_params(body)
        return params.clientInfo == dict(self._sole_client) and not params.capabilities

    async def _forward(self, session: StdioSession, request: RpcRequest, body: bytes, id: str) -> None:
        """A notification, or a client's answer to a question of the server."""
        conversation = session.conversation
        assert conversation is not None
        if request.method == "notifications/cancelled":
            call = cancelled_request(conversation, body, id)
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
        aside: bool = False,
        begun: Callable[[Conversation], None] = lambda _: None,
    ) -> web.StreamResponse:
        """One request, of a session in the legacy era. The reply is JSON if the answer comes first, else a stream of
        the messages before it."""
        try:
            id, exchange = await conversation.begin(request, body, session, logs=logs, aside=aside)
        finally:
            begun(conversation)
        try:
            return await relay(http, exchange)
        except (asyncio.CancelledError, ConnectionResetError):
            if session:  # a disconnect cancels in the modern era, and does not in the legacy one
                conversation.forget(id)
            else:
                conversation.cancel(id)
            raise
