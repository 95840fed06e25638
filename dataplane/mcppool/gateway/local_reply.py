"""Local replies to a call that the gateway does not carry on: at a shutdown, or if a cap is reached."""

from __future__ import annotations

from typing import Final

from mcppool.gateway.http.response_writer import ResponseWriter
from mcppool.pipeline.call import Call
from mcppool.pipeline.local_reply.error_reply import send_error
from mcppool.pipeline.local_reply.faults import RETRY_SOON, end_cancelled
from mcppool.pipeline.outcome import Outcome
from mcppool.wire.errors import REASONS, Delivered, Reason, fault_body
from mcppool.wire.sse import render
from mcppool.wire.versions import META_SUBSCRIPTION_ID

LISTEN: Final = "subscriptions/listen"
MEMORY = "limits.memory"
CLIENT_MEMORY = "listener.max_memory_per_client"
STREAMS = "listener.max_streams"
CLIENT_STREAMS = "listener.max_streams_per_client"
PRINCIPAL_MEMORY = "listener.max_memory_per_principal"
PRINCIPAL_STREAMS = "listener.max_streams_per_principal"
_CAPS = {
    MEMORY: "The gateway's memory is in use",
    CLIENT_MEMORY: "This client's share of the gateway's memory is in use",
    STREAMS: "Too many streams are open",
    CLIENT_STREAMS: "Too many streams of this client are open",
    PRINCIPAL_MEMORY: "This client's share of the gateway's memory is in use",
    PRINCIPAL_STREAMS: "Too many streams of this client are open",
}


def refuse(call: Call, response: ResponseWriter, reason: Reason, key: str) -> None:
    """Refuse a call because a cap is reached; `key` is the cap's name in the configuration."""
    _fault(call, response, reason, "no", 0, f"{_CAPS[key]} ({key})")


def end_at_shutdown(call: Call, response: ResponseWriter, outcome: Outcome) -> None:
    """End the call at a shutdown, in the form that its response has so far; a stream of another type than events is
    cut. `outcome` holds the progress of the call."""
    request = call.request
    if outcome.cancelled:
        end_cancelled(response, outcome)
    elif not response.replied:
        _fault(call, response, Reason.SHUTTING_DOWN, outcome.delivered, outcome.attempts)
    elif response.events:
        if request.id is None or outcome.resumable:  # its client resumes the stream
            last = b""
        elif request.method == LISTEN:  # as the specification requires
            last = render(
                b'{"jsonrpc":"2.0","id":%b,"result":{"resultType":"complete","_meta":{"%b":%b}}}'
                % (request.id, META_SUBSCRIPTION_ID.encode(), request.id)
            )
        else:
            last = render(_fault_bytes(call, Reason.SHUTTING_DOWN, outcome.delivered, outcome.attempts))
        response.write(last)
        response.end()


def _fault(
    call: Call,
    response: ResponseWriter,
    reason: Reason,
    delivered: Delivered,
    attempts: int,
    message: str | None = None,
) -> None:
    status = REASONS[reason].status
    if call.request.id is None:
        response.whole(status, b"", b"")
        return
    body = _fault_bytes(call, reason, delivered, attempts, message)
    send_error(call, response, status, body, retry_after=RETRY_SOON)


def _fault_bytes(call: Call, reason: Reason, delivered: Delivered, attempts: int, message: str | None = None) -> bytes:
    return fault_body(
        call.request.id,
        reason,
        message or REASONS[reason].meaning,
        delivered=delivered,
        attempts=attempts,
        retry_after=RETRY_SOON,
    )
