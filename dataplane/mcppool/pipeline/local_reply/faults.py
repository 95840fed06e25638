"""Local replies for faults: JSON-RPC errors (design §5.1)."""

from __future__ import annotations

from itertools import count
from math import ceil
from random import getrandbits

from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.local_reply.error_reply import send_error
from mcppool.pipeline.outcome import Outcome
from mcppool.upstream.failures import AttemptFailed
from mcppool.wire.errors import INTERNAL_ERROR, INVALID_REQUEST, REASONS, Reason, error_body, fault_body
from mcppool.wire.media_types import ERROR_HEADERS, EVENT_HEADERS, JSON_HEADERS

RETRY_SOON = 1.0  # seconds; Retry-After without a better estimate
_WORTH_A_RETRY = frozenset(
    {
        Reason.NO_ENDPOINT,
        Reason.QUEUE_FULL,
        Reason.ACQUIRE_TIMEOUT,
        Reason.OVERLOADED,
        Reason.NO_CATALOG,
        Reason.SHUTTING_DOWN,
        Reason.AUDIT_FULL,
    }
)
_STALE_IF = frozenset(
    {
        Reason.NO_ENDPOINT, Reason.CONNECT_FAILED, Reason.CONNECTION_LOST, Reason.TIMEOUT, Reason.BAD_UPSTREAM_ANSWER,
        Reason.UPSTREAM_ERROR, Reason.UPSTREAM_REFUSED, Reason.QUEUE_FULL, Reason.ACQUIRE_TIMEOUT,
    }
)  # fmt: skip
"""Faults of servers that the gateway answers with an expired answer, if it still holds one."""

_process = f"{getrandbits(32):08x}"
_numbers = count(1)


def next_id() -> str:
    """A unique id of the gateway for a failed call, in the answer and the log."""
    return f"{_process}-{next(_numbers):x}"


def fault_bytes(call: Call, failure: AttemptFailed, outcome: Outcome) -> bytes:
    """The JSON-RPC error for `failure`, the call's last one. Addresses stay in the log."""
    outcome.failed(failure)
    outcome.code = INTERNAL_ERROR
    outcome.id = outcome.id or next_id()
    retry_after = _retry_after(failure)
    meaning = REASONS[failure.reason].meaning
    more = failure.limit or failure.note
    return fault_body(
        call.request.id,
        failure.reason,
        f"{meaning} ({more})" if more else meaning,
        delivered=outcome.delivered,
        attempts=outcome.attempts,
        retry_after=retry_after,
        request_id=outcome.id,
    )


def answer_fault(call: Call, reply: Reply, failure: AttemptFailed, outcome: Outcome) -> None:
    """End the call with a local reply; `outcome` becomes `rejected` if no endpoint saw the call, else `error`.

    If the servers are at fault and the gateway holds an expired answer, the client gets that instead, and the call is a
    success.
    """
    if outcome.cancelled:  # its client has forgotten it
        end_cancelled(reply, outcome)
        return
    instead = outcome.fallback if failure.reason in _STALE_IF else None
    outcome.failed(failure)
    outcome.status = "error" if failure.sent or outcome.attempts else "rejected"
    outcome.failure = failure.kept()
    outcome.id = next_id()
    if instead is not None:
        outcome.status = "success"
        outcome.size = len(instead)
        outcome.fell_back = True
        reply.whole(200, JSON_HEADERS, instead)
        return
    if outcome.resumable:  # the client comes back for the answer; an error would end that
        reply.end()
        return
    if failure.reason is Reason.SESSION_LOST:  # the protocol's own status, on which clients open a new session
        reply.whole(404, ERROR_HEADERS, error_body(call.request.id, INVALID_REQUEST, "Session not found"))
        return
    if call.request.id is None:
        reply.whole(_status_alone(call, failure), headers_alone(call, failure), b"")
        return
    body = fault_bytes(call, failure, outcome)
    headers = b"mcppool-request-id: %b\r\n" % outcome.id.encode()
    status = REASONS[failure.reason].status
    send_error(call, reply, status, body, headers=headers, retry_after=_retry_after(failure))


def _status_alone(call: Call, failure: AttemptFailed) -> int:
    """The HTTP status of an answer without a JSON-RPC error."""
    if call.verb == b"DELETE":
        return 200  # whatever its outcome there: the session is out of reach now
    if call.verb == b"POST":
        return 202  # a notification or a response, whose sender hears nothing more; the 1.x SDK ends at a 502
    return REASONS[failure.reason].status


def headers_alone(call: Call, failure: AttemptFailed) -> bytes:
    """The header lines of a reply without a body, for a call without a request."""
    if call.verb != b"GET":
        return b""
    # A stream can always be opened later; without this header a client goes on without one.
    return b"cache-control: no-store\r\nretry-after: %d\r\n" % ceil(_retry_after(failure) or RETRY_SOON)


def _retry_after(failure: AttemptFailed) -> float | None:
    """Seconds after which to try again; None if a retry does not help."""
    if failure.retry_after is not None:
        return failure.retry_after
    return RETRY_SOON if failure.reason in _WORTH_A_RETRY else None


def answer_refusal(
    call: Call, reply: Reply, outcome: Outcome, status: int, code: int, message: str, data: object
) -> None:
    """End the call with one of the protocol's own errors."""
    outcome.status = "rejected"
    outcome.code = code
    reply.whole(status, ERROR_HEADERS, error_body(call.request.id, code, message, data))


def end_cancelled(reply: Reply, outcome: Outcome) -> None:
    """End a cancelled call without a server's answer: with an empty event stream."""
    outcome.status = "cancelled"
    outcome.neutral = True
    reply.begin(200, EVENT_HEADERS)
    reply.end()
