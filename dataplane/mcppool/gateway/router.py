"""The router: from an HTTP request to a call of the right pool and era."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, NamedTuple, cast

from mcppool.access.credential import Credential
from mcppool.access.denied import Denied
from mcppool.access.inbound import InboundAuth
from mcppool.access.resources import paths_of
from mcppool.gateway.allowed_hosts import AllowedHosts, refused_host
from mcppool.gateway.call_of_request import NOTHING, call_of_request
from mcppool.gateway.cors import answer_headers, is_preflight, preflight_headers
from mcppool.gateway.head_notes import HeadNotes, notes_of
from mcppool.gateway.http.call_worker import Rest
from mcppool.gateway.http.connection import HttpConnection
from mcppool.gateway.http.connection_state import OUTLIVES_CLIENT, UNTIL_DRAIN, WITH_CLIENT, CallLifetime
from mcppool.gateway.http.http_request import HttpRequest
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
from mcppool.gateway.metadata_documents import Document, MetadataDocuments
from mcppool.gateway.open_streams import OpenStreams
from mcppool.gateway.request_refused import RequestRefused
from mcppool.gateway.shown_proof import shown_proof
from mcppool.observe.metrics import GatewayMetrics
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.policy.principal import ANONYMOUS, Principal
from mcppool.turns import in_turns
from mcppool.wire.bulk import BULK, Bulk, read_in_slices
from mcppool.wire.era import LEGACY
from mcppool.wire.errors import HEADER_MISMATCH, INVALID_REQUEST, Reason

_AUDITED = frozenset({"invalid", "expired", "insufficient_scope", "proof"})
"""Authentication failures for the audit log: a client without a credential only asks for the requirements, and the
number of the others is bounded for each address."""
_HEAD_FIRST: Final = frozenset({"initialize", LISTEN})
"""Methods whose response head depends on the server's answer, so that no comment may open the response earlier."""


class Route(NamedTuple):
    """A pool, and the authentication of its clients; None if every client may call."""

    pool: ServerPool
    auth: InboundAuth | None


class Router:
    """Routes requests to pools. Its routes are replaced as a whole when the configuration changes."""

    def __init__(self, metrics: GatewayMetrics, hosts: AllowedHosts, memory: MemoryBudget) -> None:
        self.metrics = metrics
        self.hosts = hosts
        self._memory = memory
        self.streams = OpenStreams()
        self._routes: Mapping[bytes, Route] = MappingProxyType({})
        self._documents = MetadataDocuments()

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
        self._documents = MetadataDocuments(documents)
        for name, pool in pools.items():
            if (known := auth.get(name)) is not None:
                pool.access.challenge = known.challenge_for_scopes
        # The streams of a pool that is gone end with its drain.
        self.streams.end_unless(lambda s: pools.get(s.pool.name) is not s.pool or s.auth is auth.get(s.pool.name))
        self.streams.recheck(lambda s: pools.get(s.pool.name) is s.pool)

    def handle(self, request: HttpRequest, connection: HttpConnection) -> Rest | None:
        """Begin to answer a request; returns the rest of its call, or None if that is under way without a task."""
        notes = notes_of(request.head)
        route = self._routes.get(notes.path)
        if route is None or not notes.welcome or request.held is not None or request.head.method != b"POST":
            return self._handle(request, notes, connection)
        response = connection.response
        response.cors = notes.cors
        try:
            call = self._call_at_once(route, request, notes, connection)
        except RequestRefused as refused:
            return self._refused(refused, response)
        if call is None or self._lacks_memory(connection):
            return self._go_on(route, call, request, notes, connection)
        outcome = Outcome()
        self._prepare(route.pool, call, notes, connection)
        if connection.lifetime is UNTIL_DRAIN:
            return guarded(self._stream(route, call, notes, connection, outcome), call, outcome, connection)
        worker = connection.worker
        if worker.guard is None:
            worker.guard = guarded
        rest = route.pool.begin(call, response, outcome, worker)
        return None if rest is None else guarded(rest, call, outcome, connection)

    async def _refused(self, refused: RequestRefused, response: ResponseWriter) -> None:
        if refused.reason is not None:
            self.metrics.refuse(refused.reason)
        response.error(refused.status, refused.body, refused.headers)

    def _lacks_memory(self, connection: HttpConnection) -> bool:
        """Whether memory is full, in all or for the client."""
        usage = connection.usage.client
        return self._memory.full or (usage.held > 0 and usage.full)

    def _prepare(self, pool: ServerPool, call: Call, notes: HeadNotes, connection: HttpConnection) -> None:
        """Tell the connection what its call needs."""
        call.source = id(connection)
        if pool.attendance is not None and call.session is not None:
            connection.attended.enter(pool.attendance, call.session.upstream_id)
        connection.lifetime = _lifetime_of(call)
        if (every := pool.settings.spec.timeouts.keep_alive) and notes.accepts_events:
            answered = call.request.id is not None and call.request.method not in _HEAD_FIRST
            connection.comment_on_silence(every, call.received, may_open=answered)

    async def _handle(self, request: HttpRequest, notes: HeadNotes, connection: HttpConnection) -> None:
        """Answer a request of any kind."""
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
                await self._documents.answer(request, notes, response)
                return
            call = self._call_at_once(route, request, notes, connection)
        except RequestRefused as refused:
            await self._refused(refused, response)
            return
        await self._go_on(route, call, request, notes, connection)

    async def _go_on(
        self, route: Route, call: Call | None, request: HttpRequest, notes: HeadNotes, connection: HttpConnection
    ) -> None:
        """Answer a request, after `_call_at_once` has returned its call."""
        response = connection.response
        try:
            call = call or await self._call(route, request, notes, connection)
        except RequestRefused as refused:
            await self._refused(refused, response)
            return
        if (self._lacks_memory(connection) or (request.held is not None and request.held.lost)) and _is_new_work(call):
            self._refuse(call, connection, Reason.OVERLOADED, _full_memory(connection))
            return
        outcome = Outcome()
        self._prepare(route.pool, call, notes, connection)
        if connection.lifetime is UNTIL_DRAIN:
            rest: Rest = self._stream(route, call, notes, connection, outcome)
        else:
            rest = route.pool.serve(call, response, outcome)
        await guarded(rest, call, outcome, connection)

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
        """The principal of a request whose credential is not known yet. Raises RequestRefused."""
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
            raise RequestRefused(None, status, INVALID_REQUEST, message, headers) from denied

    def _refuse(self, call: Call, connection: HttpConnection, reason: Reason, key: str) -> None:
        connection.turn_away(key.rpartition(".")[2])
        refuse(call, connection.response, reason, key)

    def _call_at_once(
        self, route: Route, request: HttpRequest, notes: HeadNotes, connection: HttpConnection
    ) -> Call | None:
        """The call of a request that needs no wait, as almost all do; None for any other. Raises RequestRefused."""
        if len(request.body) > BULK:
            return None
        auth = route.auth
        usage = connection.usage
        if auth is None and usage.client is usage.address:
            return call_of_request(route.pool, request, notes, ANONYMOUS, usage.address.key)
        # `_credential` and `_count` are called only where they change something: each frame costs every call.
        principal = ANONYMOUS
        if auth is not None:
            read = notes.credential_read_by is auth
            known = auth.admit(notes.credential if read else _credential(auth, notes, connection))
            if known is None:
                return None
            principal = known
        counted = usage.client
        if counted.key != principal.key or counted.pool != route.pool.name or request.held is not None:
            _count(route.pool, principal, request, connection)
        return call_of_request(route.pool, request, notes, principal, usage.address.key)

    async def _call(self, route: Route, request: HttpRequest, notes: HeadNotes, connection: HttpConnection) -> Call:
        """The call of a request for which `_call_at_once` has none: it has to be authenticated first, or has a large
        body. Raises RequestRefused."""
        pool, auth = route
        principal = ANONYMOUS
        if auth is not None:
            credential = _credential(auth, notes, connection)
            # `_call_at_once` has asked for the credential of a small request, and does not know it.
            known = auth.admit(credential) if len(request.body) > BULK else None
            principal = known or await self._authenticate(
                pool, auth, credential, request.head.method, notes, connection
            )
        _count(pool, principal, request, connection)
        if len(request.body) > BULK and notes.is_json:
            await in_turns(read_in_slices(cast(Bulk, request.body)))
        return call_of_request(pool, request, notes, principal, connection.usage.address.key)

    def _welcome(self, notes: HeadNotes) -> None:
        """Check Host, Origin, target and repeated headers. A head that passes once always passes: the policy is fixed
        at start."""
        host = notes.headers.get("host", "")
        if not self.hosts.host_allowed(host):
            raise RequestRefused("host", 421, INVALID_REQUEST, refused_host(host, "listener.allowed_hosts"))
        if not self.hosts.origin_allowed(notes.headers.get("origin"), host):
            message = "This Origin may not call; listener.allowed_origins lists those that may"
            raise RequestRefused("origin", 403, INVALID_REQUEST, message)
        if not notes.path:
            raise RequestRefused("target", 400, INVALID_REQUEST, "The target is not one of this Host")
        if notes.duplicates:
            twice = f"{min(notes.duplicates)} header appears more than once"
            raise RequestRefused("protocol", 400, HEADER_MISMATCH, twice)
        notes.cors = answer_headers(notes.headers)
        notes.welcome = True


async def guarded(rest: Rest, call: Call, outcome: Outcome, connection: HttpConnection) -> None:
    """The rest of a call; at a shutdown it gets a final reply."""
    try:
        await rest
    except asyncio.CancelledError:
        if not connection.ending:
            raise
        end_at_shutdown(call, connection.response, outcome)


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
    return call.request.id is not None or call.verb == b"GET" or (call.request is NOTHING and call.verb == b"POST")
