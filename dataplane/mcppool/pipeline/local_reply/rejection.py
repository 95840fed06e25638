"""A server says that the request itself is at fault: HTTP 4xx, with or without a JSON-RPC error.

That is an answer. The gateway passes it on in a form for the client's era, never repeats the call, and charges it only
to the client: not to the endpoint, a breaker, an ejection or the retry budget. A JSON-RPC error goes on as the server
wrote it, under the client's own id, because servers give null or an id of their own to requests that they did not read.
Any other body is outside the protocol and stays here: the client gets a local reply that names the HTTP status.

A status about credentials (401, 403, 407) is about those of the gateway: a client that got it would sign in here, which
does not help. It gets HTTP 502 and the reason `upstream_auth`, whatever the body says. Only if the pool leaves
authentication to its servers, 401 and 403 are about the client's own credentials, and pass with `WWW-Authenticate`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from http import HTTPStatus

import msgspec

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.local_reply.error_reply import send_error
from mcppool.pipeline.local_reply.faults import next_id
from mcppool.pipeline.outcome import Outcome
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed, TokenRefused, UpstreamAuth
from mcppool.upstream.http.response import Response
from mcppool.wire.era_mismatch import SERVERS_ARE_MODERN
from mcppool.wire.errors import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    METHOD_NOT_FOUND,
    MISSING_CLIENT_CAPABILITY,
    REASONS,
    UNSUPPORTED_VERSION,
    Reason,
    fault_body,
)
from mcppool.wire.media_types import JSON, JSON_HEADERS
from mcppool.wire.members import readable
from mcppool.wire.versions import LEGACY_VERSIONS, MODERN_VERSIONS

MAX_READ = 64 * 1024  # bytes of such an answer that are read; an error is shorter, and the rest is useless
LOGGED = 200  # bytes of a body outside the protocol that the status page keeps
SHOWN = frozenset({200, 400, 404, 405, 406, 409, 413, 415, 422, 429, 431})
"""Statuses of errors in the protocol, and of HTTP servers for a request that they cannot read.
Clients, and proxies in front, would act on any other: 407 asks for credentials of a proxy, 421 for another connection,
426 for another protocol. The client finds the server's status in `data.httpStatus`."""
UNAUTHORIZED = 401
CREDENTIALS = frozenset({UNAUTHORIZED, 403, 407})
"""Statuses about the credentials of the gateway."""
CHALLENGES = frozenset({UNAUTHORIZED, 403})
"""Statuses about the credentials of the client, if the servers check them (`auth.inbound.type = "passthrough"`)."""
_CHALLENGE = frozenset({b"www-authenticate", b"dpop-nonce"})
_UNKNOWN_ERA = frozenset({METHOD_NOT_FOUND, HEADER_MISMATCH, MISSING_CLIENT_CAPABILITY, UNSUPPORTED_VERSION})


class _Error(msgspec.Struct):
    code: int
    message: str


class _Members(msgspec.Struct):
    error: msgspec.Raw


_members = msgspec.json.Decoder(_Members).decode
_error = msgspec.json.Decoder(_Error).decode


def answer_rejection(attempt: Attempt, response: Response, body: bytes) -> None:
    """Pass on the server's answer about the request."""
    if len(body) > MAX_READ:  # it has come at once; of one that comes in parts, no more is read
        body = b""
    if response.status in CHALLENGES and attempt.context.settings.passthrough:
        pass_challenge(attempt.reply, attempt.outcome, attempt.endpoint, response, body)
        return
    if response.status == UNAUTHORIZED and attempt.endpoint.head.refused(attempt.started, attempt.call.on_behalf):
        raise TokenRefused("HTTP 401")
    own = server_error(response.content_type, body) if response.status not in CREDENTIALS else None
    if own is not None:
        own = era_mismatch(attempt, own) or own
    else:
        detail = f"HTTP {response.status}: {body[:LOGGED].decode('utf-8', 'replace')}"
        reason = str(_reason(response.status))
        attempt.context.recent.add(attempt.endpoint.key, reason, detail, datetime.now(UTC))
    give_rejection(attempt.call, attempt.reply, attempt.outcome, response.status, own)


def pass_challenge(reply: Reply, outcome: Outcome, endpoint: Endpoint, response: Response, body: bytes) -> None:
    """Pass on the answer of a server that checks credentials itself, unchanged. The gateway serves the metadata that it
    names."""
    endpoint.metadata.learn(value for name, value in response.headers if name == b"www-authenticate")
    outcome.status = "rejected"
    outcome.neutral = True
    outcome.learn("yes")
    shown = body if response.content_type == JSON else b""
    headers = JSON_HEADERS if shown else b""
    for name, value in response.headers:
        if name in _CHALLENGE:
            headers += b"%b: %b\r\n" % (name, value)
    reply.whole(response.status, headers + b"cache-control: no-store\r\n", shown)


def give_rejection(call: Call, reply: Reply, outcome: Outcome, status: int, own: bytes | None) -> None:
    """End the call with `own`, the raw JSON of a server's error, or with a local reply if that is None."""
    outcome.status = "error"
    outcome.neutral = True
    outcome.learn("yes")
    if status in CREDENTIALS:
        own = None
        outcome.failure, outcome.id = UpstreamAuth(status), next_id()
    if call.request.id is None:
        acknowledge(call, reply, status)
        return
    if own is not None:
        outcome.code = _error(own).code
        body = b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (call.request.id, own)
    else:
        outcome.code = INTERNAL_ERROR
        reason = _reason(status)
        body = fault_body(
            call.request.id, reason, f"{REASONS[reason].meaning} ({_named(status)})",
            delivered=outcome.delivered, attempts=outcome.attempts, http_status=status, request_id=outcome.id,
        )  # fmt: skip
    outcome.size = len(body)
    send_error(call, reply, shown_status(status), body)


def shown_status(status: int) -> int:
    """The HTTP status for a modern client of a server's answer about its request."""
    if status in CREDENTIALS:
        return REASONS[Reason.UPSTREAM_AUTH].status
    return status if status in SHOWN else 400


def acknowledge(call: Call, reply: Reply, status: int) -> None:
    """Answer a message without an answer, or a DELETE. The server's reply does not reach the sender, except that the
    server lets no client end a session."""
    if call.verb == b"POST":
        reply.whole(202, b"", b"")
    else:
        reply.whole(405 if status == 405 else 200, b"cache-control: no-store\r\n", b"")


def server_error(content_type: bytes, body: bytes) -> bytes | None:
    """The raw JSON of the error in a body that is a JSON-RPC error, whatever its id; None for any other body."""
    if content_type != JSON:
        return None
    try:
        error = _members(readable(body)).error
        _error(error)
    except (ValueError, RecursionError):
        return None
    return bytes(error)


def without_words(content_type: bytes, body: bytes, message: str) -> bytes:
    """The body of a refusal with the code of the server's error and another message, without its data; any other body
    as it is, because no client gets it."""
    error = server_error(content_type, body)
    if error is None:
        return body
    return msgspec.json.encode(
        {"jsonrpc": "2.0", "id": None, "error": {"code": _error(error).code, "message": message}}
    )


def with_eras(attempt: Attempt, body: bytes) -> bytes:
    """An error answer; if a modern server does not know a legacy client's `initialize`, one that names both eras."""
    if attempt.call.request.method != "initialize":
        return body
    own = server_error(JSON, body)
    error = era_mismatch(attempt, own) if own is not None else None
    return (
        body if error is None else b'{"jsonrpc":"2.0","id":%b,"error":%b}' % (attempt.call.request.id or b"null", error)
    )


def era_mismatch(attempt: Attempt, own: bytes) -> bytes | None:
    """The error for a legacy client whose `initialize` a modern server does not know; None if `own`, the server's
    error, means something else."""
    catalog = attempt.endpoint.catalog
    if attempt.call.request.method != "initialize" or catalog is None or not catalog.modern:
        return None
    code = _error(own).code
    serves_both = any(version.encode() in own for version in LEGACY_VERSIONS)
    if code not in _UNKNOWN_ERA or (code == UNSUPPORTED_VERSION and serves_both):
        return None
    data = {"supported": sorted(MODERN_VERSIONS)}
    return msgspec.json.encode({"code": UNSUPPORTED_VERSION, "message": SERVERS_ARE_MODERN, "data": data})


async def read_rejection(response: Response) -> bytes:
    """The rest of the body of such an answer; empty if it breaks off or is too long."""
    if response.content_type != JSON:
        return b""
    parts: list[bytes] = []
    size = 0
    try:
        while (chunk := await response.next_chunk()) and size <= MAX_READ:
            parts.append(chunk)
            size += len(chunk)
    except AttemptFailed:
        return b""
    return b"".join(parts) if size <= MAX_READ else b""


def _reason(status: int) -> Reason:
    return Reason.UPSTREAM_AUTH if status in CREDENTIALS else Reason.REQUEST_REJECTED


def _named(status: int) -> str:
    try:
        return f"HTTP {status} {HTTPStatus(status).phrase}"
    except ValueError:
        return f"HTTP {status}"
