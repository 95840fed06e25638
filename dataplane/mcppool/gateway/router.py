"""The router: from an HTTP request to a call of the right pool and era."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, cast

from msgspec.structs import replace

from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.inbound import InboundAuth
from mcppool.access.resources import paths_of
from mcppool.gateway.allowed_hosts import AllowedHosts, refused_host
from mcppool.gateway.cors import answer_headers, is_preflight, preflight_headers
from mcppool.gateway.head_notes import HeadNotes, notes_of
from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.connection_state import OUTLIVES_CLIENT, UNTIL_DRAIN, WITH_CLIENT, CallLifetime
from mcppool.gateway.http.reader import HttpRequest
from mcppool.gateway.http.response_writer import ResponseWriter
from mcppool.gateway.local_reply import (
    CLIENT_MEMORY,
    CLIENT_STREAMS,
    LISTEN,
    MEMORY,
    PRINCIPAL_MEMORY,
    PRINCIPAL_STREAMS,
    STREAMS,
    end_at_shutdown,
    refuse,
)
from mcppool.gateway.open_streams import OpenStreams
from mcppool.gateway.server_documents import ServerDocuments, ServersUnavailable
from mcppool.gateway.shown_proof import shown_proof
from mcppool.observe.metrics import GatewayMetrics
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.policy.principal import ANONYMOUS, Principal
from mcppool.turns import in_turns
from mcppool.wire.bulk import BULK, Bulk, read_in_slices
from mcppool.wire.era import LEGACY, MODERN, Era, Refusal, classify, inputs_of
from mcppool.wire.errors import HEADER_MISMATCH, INVALID_REQUEST, BadEnvelope, Reason, error_body
from mcppool.wire.headers import LAST_EVENT_ID, SESSION_ID
from mcppool.wire.large_ids import request_id
from mcppool.wire.member_sizes import MIN_BOUND, oversized, repeatable_id
from mcppool.wire.rpc_request import RpcRequest, parse_request

NO_POOL = "No pool is served at this path"
_ALLOW = b"allow: POST, GET, DELETE\r\ncache-control: no-store\r\n"
_POST_ONLY = b"allow: POST\r\ncache-control: no-store\r\n"
_DOCUMENT = b"content-type: application/json\r\ncache-control: max-age=300\r\n"
_AUDITED = frozenset({"invalid", "expired", "insufficient_scope", "proof"})
"""Authentication failures for the audit log: a client without a credential only asks for the requirements, and the
number of the others is bounded for each address."""
_HEAD_FIRST = frozenset({"initialize", LISTEN})
"""Methods whose response head depends on the server's answer, so that no comment may open the response earlier."""
_NOTHING = RpcRequest(
    method=None, id=None, name=None, cursor=None, request_state=None, progress_token=None, protocol_version=None,
    has_capabilities=False, is_response=False, arguments=None,
)  # fmt: skip


Document = bytes | ServerDocuments
"""A metadata document, or its source."""


class Route(NamedTuple):
    """A pool, and the authentication of its clients; None if every client may call."""

    pool: ServerPool
    auth: InboundAuth | None


class _Refused(Exception):
    """A request that reaches no pool. `reason` is its label in the metric of malformed input, None if it has none."""

    def __init__(
        self,
        reason: str | None,
        status: int,
        code: int,
        message: str,
        headers: bytes = b"",
        *,
        data: object = None,
        id: bytes | None = None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.status = status
        self.headers = headers
        self.body = error_body(id, code, message, data)


class Router:
    """Routes requests to pools. Its routes are replaced as a whole when the configuration changes."""

    def __init__(self, metrics: GatewayMetrics, hosts: AllowedHosts, memory: MemoryBudget) -> None:
        self.metrics = metrics
        self.hosts = hosts
        self._memory = memory
        self.streams = OpenStreams()
        self._routes: Mapping[bytes, Route] = MappingProxyType({})
        self._documents: Mapping[bytes, Document] = MappingProxyType({})
        self._sources: tuple[ServerDocuments, ...] = ()

    def serve_pools(
        self,
        pools: Mapping[str, ServerPool],
        auth: Mapping[str, InboundAuth] = MappingProxyType({}),
        documents: Mapping[bytes, Document] = MappingProxyType({}),
    ) -> None:
        """Serve each pool at the paths of `paths_of`, with its authentication, and `documents` by their paths.

        A stream ends if its pool has another authentication now: its client connects again, with its new identity.
        """
        self._routes = MappingProxyType(
            {
                path: Route(pool, auth.get(name))
                for name, pool in pools.items()
                for path in paths_of(name, only=len(pools) == 1)
            }
        )
        self._documents = documents
        self._sources = tuple(
            {id(each): each for each in documents.values() if isinstance(each, ServerDocuments)}.values()
        )
        for name, pool in pools.items():
            if (known := auth.get(name)) is not None:
                pool.access.challenge = known.challenge_for_scopes
        # The streams of a pool that is gone end with its drain.
        self.streams.end_unless(lambda s: pools.get(s.pool.name) is not s.pool or s.auth is auth.get(s.pool.name))
        self.streams.recheck(lambda s: pools.get(s.pool.name) is s.pool)

    async def handle(self, request: HttpRequest, connection: HttpConnection) -> None:
        """Answer one request."""
        notes = notes_of(request.head)
        response = connection.response
        try:
            if not notes.welcome:
                response.cors = b""
                self._welcome(notes)
            response.cors = notes.cors
            if request.head.method == b"OPTIONS" and is_preflight(notes.headers):
                response.no_content(preflight_headers(notes.headers))
                return
            route = self._routes.get(notes.path)
            if route is None:
                await self._answer_document(request, notes, response)
                return
            call = self._call_at_once(route, request, notes, connection) or await self._call(
                route, request, notes, connection
            )
        except _Refused as refused:
            if refused.reason is not None:
                self.metrics.refuse(refused.reason)
            response.error(refused.status, refused.body, refused.headers)
            return
        pool = route.pool
        if (
            self._memory.full or connection.usage.client.full or (request.held is not None and request.held.lost)
        ) and _is_new_work(call):
            self._refuse(call, connection, Reason.OVERLOADED, _full_memory(connection))
            return
        call.source = id(connection)
        if pool.attendance is not None and call.session is not None:
            connection.attended.enter(pool.attendance, call.session.upstream_id)
        connection.lifetime = _lifetime_of(call)
        if (every := pool.spec.timeouts.keep_alive) and notes.accepts_events:
            answered = call.request.id is not None and call.request.method not in _HEAD_FIRST
            connection.comment_on_silence(every, request.received, may_open=answered)
        outcome = Outcome()
        try:
            if connection.lifetime is UNTIL_DRAIN:
                await self._stream(route, call, notes, connection, outcome)
            else:
                await pool.serve(call, response, outcome)
        except asyncio.CancelledError:
            if not connection.ending:
                raise
            end_at_shutdown(call, response, outcome)

    async def _stream(
        self, route: Route, call: Call, notes: HeadNotes, connection: HttpConnection, outcome: Outcome
    ) -> None:
        usage = connection.usage.client
        if (too_many := len(self.streams) >= usage.caps.streams) or usage.streams >= usage.max_streams:
            key = STREAMS if too_many else PRINCIPAL_STREAMS if usage.pool else CLIENT_STREAMS
            self._refuse(call, connection, Reason.TOO_MANY_STREAMS, key)
            return
        usage.open_stream()
        try:
            credential = _credential(route.auth, notes, connection) if route.auth is not None else None
            with self.streams.opened(route.pool, route.auth, credential, call, connection.cut):
                await route.pool.serve(call, connection.response, outcome)
        finally:
            usage.close_stream()

    async def _authenticate(
        self,
        pool: ServerPool,
        auth: InboundAuth,
        credential: Credential | None,
        method: bytes,
        notes: HeadNotes,
        connection: HttpConnection,
    ) -> Principal:
        """The principal of a request whose credential is not known yet. Raises _Refused."""
        try:
            shown = auth.header in notes.headers
            proof = shown_proof(pool, auth, method, notes) if auth.takes_proofs else None
            return await auth.authenticate(credential, connection.usage.address.key, shown=shown, proof=proof)
        except Denied as denied:
            connection.usage.count_for_address()
            if denied.failure in _AUDITED:
                about = {"client": connection.usage.address.key, "reason": denied.failure, "detail": denied.detail}
                pool.access_log.tell("authentication_failed", about)
            status, headers, message = auth.refuse(denied, notes.path, credential)
            raise _Refused(None, status, INVALID_REQUEST, message, headers) from denied

    async def _answer_document(self, request: HttpRequest, notes: HeadNotes, response: ResponseWriter) -> None:
        """Answer a request at a path without a pool. Raises _Refused."""
        path = notes.path.decode("latin-1")
        document = self._documents.get(notes.path) or await self._named_document(path)
        if document is None:
            raise _Refused("path", 404, INVALID_REQUEST, NO_POOL)
        if request.head.method not in (b"GET", b"HEAD"):
            raise _Refused("http_method", 405, INVALID_REQUEST, "Only GET is served here", b"allow: GET, HEAD\r\n")
        if isinstance(document, bytes):
            response.whole(200, _DOCUMENT, document)
            return
        try:
            found = await document.get(path)
        except ServersUnavailable:
            message = "No server answers with this document"
            raise _Refused(None, 503, INVALID_REQUEST, message, b"retry-after: 1\r\n") from None
        if found is None:
            raise _Refused("path", 404, INVALID_REQUEST, NO_POOL)
        headers = b"content-type: application/json\r\ncache-control: %b\r\n" % found.cache_control
        response.whole(200, headers, found.body)

    async def _named_document(self, path: str) -> ServerDocuments | None:
        """The source of a document at a path that a server has named."""
        for source in self._sources:
            if await source.names(path):
                return source
        return None

    def _refuse(self, call: Call, connection: HttpConnection, reason: Reason, key: str) -> None:
        connection.turn_away(key.rpartition(".")[2])
        refuse(call, connection.response, reason, key)

    def _call_at_once(
        self, route: Route, request: HttpRequest, notes: HeadNotes, connection: HttpConnection
    ) -> Call | None:
        """The call of a request that needs no wait, as almost all do; None for any other. Raises _Refused."""
        if len(request.body) > BULK:
            return None
        auth = route.auth
        principal = ANONYMOUS if auth is None else auth.admit(_credential(auth, notes, connection))
        return None if principal is None else self._call_of(route.pool, principal, request, notes, connection)

    async def _call(self, route: Route, request: HttpRequest, notes: HeadNotes, connection: HttpConnection) -> Call:
        """The call of a request that has to be authenticated first, or has a large body. Raises _Refused."""
        pool, auth = route
        principal = ANONYMOUS
        if auth is not None:
            credential = _credential(auth, notes, connection)
            principal = auth.admit(credential) or await self._authenticate(
                pool, auth, credential, request.head.method, notes, connection
            )
        _count(pool, principal, request, connection)
        if len(request.body) > BULK and notes.is_json:
            await in_turns(read_in_slices(cast(Bulk, request.body)))
        return self._call_of(pool, principal, request, notes, connection)

    def _call_of(
        self, pool: ServerPool, principal: Principal, request: HttpRequest, notes: HeadNotes, connection: HttpConnection
    ) -> Call:
        """The call of a request. Raises _Refused."""
        _count(pool, principal, request, connection)
        address = connection.usage.address.key
        if request.head.method == b"POST":
            return self._message(pool, request, notes, principal, address)
        if request.head.method in (b"GET", b"DELETE"):
            return self._session_call(pool, request, notes, principal, address)
        raise _Refused("http_method", 405, INVALID_REQUEST, "Only POST, GET and DELETE are served", _ALLOW)

    def _welcome(self, notes: HeadNotes) -> None:
        """Check Host, Origin, target and repeated headers. A head that passes once always passes: the policy is fixed
        at start."""
        host = notes.headers.get("host", "")
        if not self.hosts.host_allowed(host):
            raise _Refused("host", 421, INVALID_REQUEST, refused_host(host, "listener.allowed_hosts"))
        if not self.hosts.origin_allowed(notes.headers.get("origin"), host):
            message = "This Origin may not call; listener.allowed_origins lists those that may"
            raise _Refused("origin", 403, INVALID_REQUEST, message)
        if not notes.path:
            raise _Refused("target", 400, INVALID_REQUEST, "The target is not one of this Host")
        if notes.duplicates:
            twice = f"{min(notes.duplicates)} header appears more than once"
            raise _Refused("protocol", 400, HEADER_MISMATCH, twice)
        notes.cors = answer_headers(notes.headers)
        notes.welcome = True

    def _message(
        self, pool: ServerPool, request: HttpRequest, notes: HeadNotes, principal: Principal, address: str
    ) -> Call:
        headers = notes.headers
        if not notes.is_json:
            raise _Refused("content_type", 415, INVALID_REQUEST, "Content-Type must be application/json")
        if request.held is not None and request.held.lost:
            return _lost_body_call(request, notes)
        try:
            message = parse_request(request.body)
        except BadEnvelope as bad:
            raise _Refused(bad.reason, 400, bad.code, bad.message) from bad
        if len(request.body) > MIN_BOUND and (problem := oversized(message)) is not None:
            raise _Refused("member_too_large", 400, INVALID_REQUEST, problem, id=repeatable_id(message))
        era = self._classify(message, notes)
        session = None
        if era is LEGACY and (token := headers.get(SESSION_ID)) is not None and message.method != "initialize":
            session = pool.sessions.open(token, principal.key, principal.origin(address))
            if session is None:
                raise _Refused("session", 404, INVALID_REQUEST, "Session not found")
        forward = (
            notes.forward if notes.listed is pool.settings.forwarded else notes.forward_for(pool.settings.forwarded)
        )
        if session is not None:
            session.query, session.extra = notes.query, notes.extra
        credential = notes.credential.token if notes.credential is not None else ""
        return Call(
            message, request.body, forward, era, request.received, principal, session, b"POST", b"", None,
            request.head.lines, 0, notes.query, address, notes.path, credential,
        )  # fmt: skip

    def _classify(self, message: RpcRequest, notes: HeadNotes) -> Era:
        inputs = inputs_of(message) if notes.modern else None
        if inputs is not None and inputs == notes.agreed:
            return MODERN
        try:
            era = classify(notes.headers, message)
        except Refusal as refusal:
            raise _Refused(
                "protocol", refusal.http_status, refusal.code, refusal.message, data=refusal.data, id=message.id
            ) from refusal
        notes.agreed = inputs
        return era

    def _session_call(
        self, pool: ServerPool, request: HttpRequest, notes: HeadNotes, principal: Principal, address: str
    ) -> Call:
        """`GET` opens a session's stream, `DELETE` ends the session; the modern era has neither."""
        headers = notes.headers
        if notes.modern:
            raise _Refused("http_method", 405, INVALID_REQUEST, "This protocol version has POST only", _POST_ONLY)
        token = headers.get(SESSION_ID)
        if token is None and not pool.sessions.any_opened:
            raise _Refused("http_method", 405, INVALID_REQUEST, "This pool has no sessions", _POST_ONLY)
        if token is None:
            raise _Refused("session", 400, INVALID_REQUEST, "Mcp-Session-Id is missing")
        session = pool.sessions.open(token, principal.key, principal.origin(address))
        if session is None:
            raise _Refused("session", 404, INVALID_REQUEST, "Session not found")
        forward = (
            notes.forward if notes.listed is pool.settings.forwarded else notes.forward_for(pool.settings.forwarded)
        )
        session.query, session.extra = notes.query, notes.extra
        last = headers.get(LAST_EVENT_ID)
        return Call(
            _NOTHING,
            b"",
            forward,
            LEGACY,
            request.received,
            principal=principal,
            session=session,
            verb=request.method,
            resume=b"" if last is None else b"last-event-id: %b\r\n" % last.encode("latin-1"),
            query=notes.query,
            address=address,
            path=notes.path,
            credential=notes.credential.token if notes.credential is not None else "",
        )


def _count(pool: ServerPool, principal: Principal, request: HttpRequest, connection: HttpConnection) -> None:
    """Count a request for its principal, or for its address."""
    usage = connection.usage
    if principal is not ANONYMOUS and principal.verified:
        usage.count_for(pool.name, principal.key, request)
    elif usage.client is not usage.address:
        usage.count_for_address()


def _credential(auth: InboundAuth, notes: HeadNotes, connection: HttpConnection) -> Credential | None:
    """The credential of a request. A head that has one belongs to its connection, so it is read once."""
    if auth.header not in notes.headers:
        return auth.read(notes.headers, connection.certificate)
    if notes.credential_read_by is not auth:
        notes.credential, notes.credential_read_by = auth.read(notes.headers, connection.certificate), auth
    return notes.credential


def _full_memory(connection: HttpConnection) -> str:
    """The cap that leaves no room for a call."""
    usage = connection.usage.client
    if not usage.full:
        return MEMORY
    return PRINCIPAL_MEMORY if usage.pool else CLIENT_MEMORY


def _lifetime_of(call: Call) -> CallLifetime:
    """When the gateway ends the call: a client or a drain ends a stream; a legacy call outlives its client (design
    §1.11)."""
    if call.request.method == LISTEN or call.verb == b"GET":
        return UNTIL_DRAIN
    return OUTLIVES_CLIENT if call.era is LEGACY else WITH_CLIENT


def _is_new_work(call: Call) -> bool:
    """Whether the gateway may refuse a call for lack of memory. Notifications, responses and the end of a session
    belong to calls in flight, unless the body is too large to be kept."""
    return call.request.id is not None or call.verb == b"GET" or (call.request is _NOTHING and call.verb == b"POST")


def _lost_body_call(request: HttpRequest, notes: HeadNotes) -> Call:
    """A call whose body was discarded, with the facts for its refusal: era and id."""
    id = request_id(request.body)
    message = _NOTHING if id is None else replace(_NOTHING, id=id)
    return Call(message, b"", b"", MODERN if notes.modern else LEGACY, request.received)
