"""From a request to the call of a pool: its message, its era, its session."""

from __future__ import annotations

from msgspec.structs import replace

from mcppool.gateway.head_notes import HeadNotes
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.request_refused import RequestRefused
from mcppool.pipeline.call import Call
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.principal import ANONYMOUS, Principal
from mcppool.wire.era import LEGACY, MODERN, Era, Refusal, classify, inputs_of
from mcppool.wire.errors import INVALID_REQUEST, BadEnvelope
from mcppool.wire.headers import LAST_EVENT_ID, SESSION_ID
from mcppool.wire.large_ids import request_id
from mcppool.wire.member_sizes import MAX_METHOD, SMALL, oversized, repeatable_id
from mcppool.wire.rpc_request import RpcRequest, parse_request

_ALLOW = b"allow: POST, GET, DELETE\r\ncache-control: no-store\r\n"
_POST_ONLY = b"allow: POST\r\ncache-control: no-store\r\n"
NOTHING = RpcRequest(
    method=None, id=None, name=None, cursor=None, request_state=None, progress_token=None, protocol_version=None,
    has_capabilities=False, is_response=False, arguments=None,
)  # fmt: skip
"""Stands for the message of a request without one."""


def call_of_request(
    pool: ServerPool, request: HttpRequest, notes: HeadNotes, principal: Principal, address: str
) -> Call:
    """The call of a request from a client at `address`. Raises RequestRefused."""
    if request.head.method == b"POST":
        return _message(pool, request, notes, principal, address)
    if request.head.method in (b"GET", b"DELETE"):
        return _session_call(pool, request, notes, principal, address)
    raise RequestRefused("http_method", 405, INVALID_REQUEST, "Only POST, GET and DELETE are served", _ALLOW)


def _message(pool: ServerPool, request: HttpRequest, notes: HeadNotes, principal: Principal, address: str) -> Call:
    headers = notes.headers
    if not notes.is_json:
        raise RequestRefused("content_type", 415, INVALID_REQUEST, "Content-Type must be application/json")
    if request.held is not None and request.held.lost:
        return _lost_body_call(request, notes)
    try:
        message = parse_request(request.body)
    except BadEnvelope as bad:
        raise RequestRefused(bad.reason, 400, bad.code, bad.message) from bad
    may_exceed = len(request.body) > SMALL or len(message.method or "") > MAX_METHOD
    if may_exceed and (problem := oversized(message)) is not None:
        raise RequestRefused("member_too_large", 400, INVALID_REQUEST, problem, id=repeatable_id(message))
    era = _classify(message, notes)
    session = None
    if era is LEGACY and (token := headers.get(SESSION_ID)) is not None and message.method != "initialize":
        owner = address if principal is ANONYMOUS else principal.origin(address)
        session = pool.sessions.open(token, principal.key, owner)
        if session is None:
            raise RequestRefused("session", 404, INVALID_REQUEST, "Session not found")
    forward = notes.forward if notes.listed is pool.settings.forwarded else notes.forward_for(pool.settings.forwarded)
    if request.changes is not None:
        forward = notes.forward_with(request.changes)
    if session is not None:
        session.query = notes.query
        session.extra = notes.extra_with(request.changes) if request.changes is not None else notes.extra
    credential = notes.credential.token if notes.credential is not None else ""
    return Call(
        message, request.body, forward, era, request.received, principal, session, b"POST", b"", None,
        request.head.lines, 0, notes.query, address, notes.path, credential, request.changes,
    )  # fmt: skip


def _classify(message: RpcRequest, notes: HeadNotes) -> Era:
    if not notes.modern and message.id is not None and message.protocol_version is None:
        return LEGACY  # the usual legacy request: `classify` refuses none of them
    inputs = inputs_of(message) if notes.modern else None
    if inputs is not None and inputs == notes.agreed:
        return MODERN
    try:
        era = classify(notes.headers, message)
    except Refusal as refusal:
        raise RequestRefused(
            "protocol", refusal.http_status, refusal.code, refusal.message, data=refusal.data, id=message.id
        ) from refusal
    notes.agreed = inputs
    return era


def _session_call(pool: ServerPool, request: HttpRequest, notes: HeadNotes, principal: Principal, address: str) -> Call:
    """`GET` opens a session's stream, `DELETE` ends the session; the modern era has neither."""
    headers = notes.headers
    if notes.modern:
        raise RequestRefused("http_method", 405, INVALID_REQUEST, "This protocol version has POST only", _POST_ONLY)
    token = headers.get(SESSION_ID)
    if token is None and not pool.sessions.any_opened:
        raise RequestRefused("http_method", 405, INVALID_REQUEST, "This pool has no sessions", _POST_ONLY)
    if token is None:
        raise RequestRefused("session", 400, INVALID_REQUEST, "Mcp-Session-Id is missing")
    session = pool.sessions.open(token, principal.key, principal.origin(address))
    if session is None:
        raise RequestRefused("session", 404, INVALID_REQUEST, "Session not found")
    forward = notes.forward if notes.listed is pool.settings.forwarded else notes.forward_for(pool.settings.forwarded)
    if request.changes is not None:
        forward = notes.forward_with(request.changes)
    session.query = notes.query
    session.extra = notes.extra_with(request.changes) if request.changes is not None else notes.extra
    last = headers.get(LAST_EVENT_ID)
    return Call(
        NOTHING,
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


def _lost_body_call(request: HttpRequest, notes: HeadNotes) -> Call:
    """A call without its body, which was discarded; its refusal needs the era and the id."""
    id = request_id(request.body)
    message = NOTHING if id is None else replace(NOTHING, id=id)
    return Call(message, b"", b"", MODERN if notes.modern else LEGACY, request.received)
