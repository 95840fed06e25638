"""JSON-RPC errors that we make: codes, our enumerated reasons, and their bytes (DESIGN §7)."""

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

Delivered = Literal["no", "yes", "unknown"]
"""What is known of a failed call: it never reached a server, a server answered it, or nobody can say."""


class Reason(StrEnum):
    """Why the gateway itself failed a call: ``error.data.reason``."""

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
    REQUEST_TOO_LARGE = "request_too_large"
    TOO_MANY_STREAMS = "too_many_streams"
    SESSION_LOST = "session_lost"
    NO_CATALOG = "no_catalog"
    SHUTTING_DOWN = "shutting_down"
    INTERNAL = "internal"


class ReasonInfo(NamedTuple):
    """What the documentation says of a reason; `status` is the HTTP status for modern clients."""

    status: int
    meaning: str
    remedy: str


REASONS: Final[dict[Reason, ReasonInfo]] = {
    Reason.NO_ENDPOINT: ReasonInfo(
        503,
        "The pool has no endpoint that may be used: none is configured, or all are down, ejected or draining.",
        "Look at /health on the admin port; check that the servers run and that the pool's source finds them.",
    ),
    Reason.CONNECT_FAILED: ReasonInfo(
        502,
        "No connection to any endpoint could be opened: refused, unreachable, or TLS failed.",
        "Check the servers' addresses, ports and certificates; the log names the endpoint. It was not sent: repeat it.",
    ),
    Reason.CONNECTION_LOST: ReasonInfo(
        502,
        "The connection to the server broke after the call was sent and before a whole answer came.",
        "If the call may safely run twice, repeat it; list such tools as idempotent and the gateway does that itself.",
    ),
    Reason.TIMEOUT: ReasonInfo(
        504,
        "The server did not answer within the time-outs of the pool.",
        "Raise timeouts.request or timeouts.first_byte, or the time-out of this tool, if it is slow by nature.",
    ),
    Reason.BAD_UPSTREAM_ANSWER: ReasonInfo(
        502,
        "Not a JSON-RPC answer to this call: not HTTP, not JSON, cut short, too large, or with a foreign id.",
        "Ask the server itself, past the gateway; the log names the endpoint and what was wrong.",
    ),
    Reason.UPSTREAM_ERROR: ReasonInfo(
        502,
        "The server answered with HTTP 408 or with a status of 500 or more.",
        "Read the server's own log; the call reached it and may have had its effect.",
    ),
    Reason.REQUEST_REJECTED: ReasonInfo(
        400,
        "The server refuses this request with an HTTP status of 400 to 499 and no JSON-RPC error.",
        "Change the request: data.httpStatus says how, and is the answer's status. 404 and 405 to each call mean that"
        " the path in the endpoint's URL is wrong. The same request meets the same answer elsewhere.",
    ),
    Reason.UPSTREAM_AUTH: ReasonInfo(
        403,
        "The server asks for credentials that it was not given, or refuses those that it was (HTTP 401, 403 or 407).",
        "Give the endpoint the credentials that its server wants. Signing in at the gateway does not help.",
    ),
    Reason.UPSTREAM_REFUSED: ReasonInfo(
        429,
        "Every endpoint refused the call as too much (429, or another status in retry_policy.refused_statuses), or has"
        " asked for a rest (Retry-After) that is longer than the call may take.",
        "Wait as long as Retry-After says; add replicas or lower the demand if it goes on.",
    ),
    Reason.CIRCUIT_OPEN: ReasonInfo(
        503,
        "The circuit breaker of this tool is open at every endpoint, after failures in a row.",
        "Wait as long as retryAfterMs says; the tool's server needs attention. The call was not sent.",
    ),
    Reason.QUEUE_FULL: ReasonInfo(
        429,
        "As many calls as connection_pool.max_waiting allows wait for a connection already.",
        "Repeat later; raise connection_pool.max_connections or add replicas.",
    ),
    Reason.ACQUIRE_TIMEOUT: ReasonInfo(
        503,
        "No connection became free within connection_pool.acquire_timeout.",
        "Repeat later; raise connection_pool.max_connections or add replicas.",
    ),
    Reason.REQUEST_TOO_LARGE: ReasonInfo(
        413,
        "The request's body is longer than listener.max_body.",
        "Send less, or raise listener.max_body; most servers refuse more than 4 MiB themselves.",
    ),
    Reason.OVERLOADED: ReasonInfo(
        503,
        "As many calls as the pool's limits allow are in flight, or the gateway's memory is in use.",
        "Repeat later; raise limits.* or add replicas; the message names the key. The call was not sent.",
    ),
    Reason.RATE_LIMITED: ReasonInfo(
        429,
        "More calls came than the pool's rate_limit allows this client, this tool or the whole pool.",
        "Wait as long as Retry-After says; raise rate_limit.* if that is too little. The call was not sent.",
    ),
    Reason.TOO_MANY_STREAMS: ReasonInfo(
        503,
        "As many long-lived streams as listener.max_streams allows are open.",
        "Close streams that nobody reads, or raise listener.max_streams.",
    ),
    Reason.SESSION_LOST: ReasonInfo(
        503,
        "The session's endpoint is gone and no other could take the session over.",
        "Open a new session with initialize.",
    ),
    Reason.NO_CATALOG: ReasonInfo(
        503,
        "It is not known yet what the servers offer: none has answered.",
        "Repeat in a moment; if it lasts, no endpoint answers the prober: look at /health on the admin port.",
    ),
    Reason.SHUTTING_DOWN: ReasonInfo(
        503,
        "This gateway is shutting down and takes no new calls.",
        "Repeat: a new connection reaches another gateway.",
    ),
    Reason.INTERNAL: ReasonInfo(
        500,
        "A defect in the gateway.",
        "Please report it with the log line of this call.",
    ),
}
"""The documented set; docs are generated from it and a test demands that it is complete."""


class BadEnvelope(Exception):
    """A body that is not one JSON-RPC message: `code` is -32700 or -32600, `reason` a stable word for metrics."""

    def __init__(self, code: int, message: str, reason: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.reason = reason


class Refusal(Exception):
    """A well-formed message that the protocol tells us to refuse, as HTTP status and JSON-RPC error."""

    def __init__(self, http_status: int, code: int, message: str, data: object = None) -> None:
        super().__init__(message)
        self.http_status = http_status
        self.code = code
        self.message = message
        self.data = data


_encode = msgspec.json.Encoder().encode


def error_body(id: bytes | None, code: int, message: str, data: object = None) -> bytes:
    """The bytes of a JSON-RPC error answer; `id` is the raw JSON of the request's id, None where it is not known."""
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
) -> bytes:
    """The error answer for a fault of ours: -32603 with ``data``: reason, delivered, attempts; notProcessed where no
    server had the call; retryAfterMs and the server's httpStatus where they are known.

    `retry_after` is in seconds. `message` is for people and must not name endpoints.
    """
    data: dict[str, Any] = {"reason": reason, "delivered": delivered, "attempts": attempts}
    if delivered == "no":
        data["notProcessed"] = True  # the name in the draft of the protocol's transports working group
    if http_status is not None:
        data["httpStatus"] = http_status
    if retry_after is not None:
        data["retryAfterMs"] = max(0, round(retry_after * 1000))
    return error_body(id, INTERNAL_ERROR, message, data)
