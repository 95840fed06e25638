"""JSON-RPC errors of the gateway: codes, reasons, and their bytes (design §5.1)."""

from __future__ import annotations

from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple

import msgspec

PARSE_ERROR: Final = -32700
INVALID_REQUEST: Final = -32600
METHOD_NOT_FOUND: Final = -32601
INVALID_PARAMS: Final = -32602
INTERNAL_ERROR: Final = -32603
HEADER_MISMATCH: Final = -32020
MISSING_CLIENT_CAPABILITY: Final = -32021
UNSUPPORTED_VERSION: Final = -32022
RESOURCE_NOT_FOUND: Final = -32002
"""Of the legacy era; the modern era has -32602."""

Delivered = Literal["no", "yes", "unknown"]
"""Delivery of a failed call: it never reached a server, a server answered it, or nobody can tell."""


class Reason(StrEnum):
    """The reason why the gateway itself failed a call: ``error.data.reason``."""

    NO_ENDPOINT = "no_endpoint"
    CONNECT_FAILED = "connect_failed"
    CONNECTION_LOST = "connection_lost"
    TIMEOUT = "timeout"
    BAD_UPSTREAM_ANSWER = "bad_upstream_answer"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_REFUSED = "upstream_refused"
    REQUEST_REJECTED = "request_rejected"
    UPSTREAM_AUTH = "upstream_auth"
    CIRCUIT_OPEN = "circuit_open"
    QUEUE_FULL = "queue_full"
    ACQUIRE_TIMEOUT = "acquire_timeout"
    OVERLOADED = "overloaded"
    RATE_LIMITED = "rate_limited"
    TOO_MANY_STREAMS = "too_many_streams"
    SESSION_LOST = "session_lost"
    NO_CATALOG = "no_catalog"
    SHUTTING_DOWN = "shutting_down"
    ACCESS_DENIED = "access_denied"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    AUDIT_FULL = "audit_full"


class ReasonInfo(NamedTuple):
    """Documentation of a reason; `status` is the HTTP status for modern clients."""

    status: int
    meaning: str
    remedy: str


REASONS: Final[dict[Reason, ReasonInfo]] = {
    Reason.NO_ENDPOINT: ReasonInfo(
        503,
        "No endpoint of the pool can take the call: none is configured, or all are down, ejected or draining.",
        "Check that the servers run and that their URLs are right; `mcppool status` shows the state of each one.",
    ),
    Reason.CONNECT_FAILED: ReasonInfo(
        502,
        "The gateway could not connect to any endpoint: refused, unreachable, or TLS failed.",
        "Check the servers' addresses, ports and certificates; the log names the endpoint. Repeat the call: no server"
        " had it.",
    ),
    Reason.CONNECTION_LOST: ReasonInfo(
        502,
        "The connection to the server broke after the call was sent and before its answer was complete.",
        "If the call may safely run twice, repeat it. The gateway does so for tools that you list as idempotent.",
    ),
    Reason.TIMEOUT: ReasonInfo(
        504,
        "The server did not answer within the time-outs of the pool.",
        "If the tool is slow by nature, raise timeouts.request, timeouts.first_byte or tools.NAME.timeout.",
    ),
    Reason.BAD_UPSTREAM_ANSWER: ReasonInfo(
        502,
        "The server did not give a JSON-RPC answer to this call: it was not HTTP, not JSON, cut short, too large, or"
        " had another id.",
        "Call the server directly and look at its answer; the log names the endpoint and the fault.",
    ),
    Reason.UPSTREAM_ERROR: ReasonInfo(
        502,
        "The server answered with HTTP 408 or with a status of 500 or more.",
        "Read the server's log. The call reached the server and may have taken effect.",
    ),
    Reason.REQUEST_REJECTED: ReasonInfo(
        400,
        "The server refused the request with an HTTP status from 400 to 499 and no JSON-RPC error.",
        "Change the request; data.httpStatus is the server's status. If every call gets 404 or 405, the path in the"
        " endpoint's URL is wrong. Other replicas give the same answer to the same request.",
    ),
    Reason.UPSTREAM_AUTH: ReasonInfo(
        502,
        "The server requires credentials from the gateway, or refuses those that it got (HTTP 401, 403 or 407); or the"
        " gateway could not get a token for the server.",
        "Set the credentials in auth.outbound, headers.send or endpoints[].headers; the log has the cause. Signing in"
        " at the gateway does not help.",
    ),
    Reason.UPSTREAM_REFUSED: ReasonInfo(
        429,
        "Every endpoint refused the call because of load (429, or another status in retry_policy.refused_statuses), or"
        " asked for a rest (Retry-After) that is longer than the call may take.",
        "Wait as long as Retry-After says. If it goes on, add replicas or send fewer calls.",
    ),
    Reason.CIRCUIT_OPEN: ReasonInfo(
        503,
        "The circuit breaker of this tool is open at every endpoint, because its calls failed several times in a row.",
        "Wait as long as retryAfterMs says, and look after the server of this tool. The call was not sent.",
    ),
    Reason.QUEUE_FULL: ReasonInfo(
        429,
        "Too many calls already wait for a connection (connection_pool.max_waiting).",
        "Repeat later; raise connection_pool.max_connections or add replicas.",
    ),
    Reason.ACQUIRE_TIMEOUT: ReasonInfo(
        503,
        "No connection became free within connection_pool.acquire_timeout.",
        "Repeat later; raise connection_pool.max_connections or add replicas.",
    ),
    Reason.OVERLOADED: ReasonInfo(
        503,
        "The pool has as many calls in flight as limits.* allows, or the memory of the gateway is full.",
        "Repeat later, add replicas, or raise the key that the message names. The call was not sent.",
    ),
    Reason.RATE_LIMITED: ReasonInfo(
        429,
        "This client, this tool or the whole pool has made more calls than rate_limit allows.",
        "Wait as long as Retry-After says, or raise rate_limit.*. The call was not sent.",
    ),
    Reason.TOO_MANY_STREAMS: ReasonInfo(
        503,
        "Too many long-lived streams are open (listener.max_streams).",
        "Close streams that nobody reads, or raise listener.max_streams.",
    ),
    Reason.SESSION_LOST: ReasonInfo(
        503,
        "The endpoint of the session is lost, and no other could take over the session.",
        "Open a new session with initialize.",
    ),
    Reason.NO_CATALOG: ReasonInfo(
        503,
        "No server has answered yet, so their tools are not known yet.",
        "Repeat in a moment. If it goes on, check that the servers run and that their URLs are right.",
    ),
    Reason.SHUTTING_DOWN: ReasonInfo(
        503,
        "The gateway is shutting down and takes no new calls.",
        "Repeat the call on a new connection, which reaches another gateway.",
    ),
    Reason.ACCESS_DENIED: ReasonInfo(
        403,
        "The access rules of the pool do not allow this request to this client.",
        "Ask the operator of the gateway; `mcppool check --as` shows the deciding rule. Repeating does not help.",
    ),
    Reason.INSUFFICIENT_SCOPE: ReasonInfo(
        403,
        "The client's token lacks scopes that the access rules of the pool ask for.",
        "Get a token with the scopes that the message and the WWW-Authenticate header name.",
    ),
    Reason.AUDIT_FULL: ReasonInfo(
        503,
        "The audit log cannot be written, and audit.overflow is refuse.",
        "Look at the gateway's log: the disk may be full, or nobody reads standard output. The call was not sent.",
    ),
}
"""The documented set; the docs are generated from it, and a test checks that it is complete."""


class BadEnvelope(Exception):
    """A body that is not one JSON-RPC message: `code` is -32700 or -32600, `reason` a stable word for metrics."""

    def __init__(self, code: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason


class Refusal(Exception):
    """Refusal of a well-formed message that breaks the protocol: HTTP status and JSON-RPC error."""

    def __init__(self, http_status: int, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.message = message
        self.data = data


_encode = msgspec.json.Encoder().encode


def error_body(id: bytes | None, code: int, message: str, data: object = None) -> bytes:
    """The bytes of a JSON-RPC error answer; `id` is the raw JSON of the request's id, None if unknown."""
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return _encode({"jsonrpc": "2.0", "id": None if id is None else msgspec.Raw(id), "error": error})


def fault_body(
    id: bytes | None,
    reason: Reason,
    message: str,
    *,
    delivered: Delivered,
    attempts: int,
    retry_after: float | None = None,
    http_status: int | None = None,
    request_id: str = "",
) -> bytes:
    """The error answer for a fault of the gateway or its servers: -32603 with ``data``: reason, delivered, attempts;
    notProcessed if no server had the call; retryAfterMs, the server's httpStatus and requestId if known.

    `request_id` is the gateway's own, under which the log has the call; `retry_after` is in seconds. `message` is for
    people and must not name endpoints.
    """
    data: dict[str, Any] = {"reason": reason, "delivered": delivered, "attempts": attempts}
    if delivered == "no":
        data["notProcessed"] = True  # the name in the draft of the protocol's transports working group
    if http_status is not None:
        data["httpStatus"] = http_status
    if retry_after is not None:
        data["retryAfterMs"] = max(0, round(retry_after * 1000))
    if request_id:
        data["requestId"] = request_id
    return error_body(id, INTERNAL_ERROR, message, data)
