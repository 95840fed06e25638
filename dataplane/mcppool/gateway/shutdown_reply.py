"""What the gateway itself says of a call that it does not carry on: at a shutdown, or where a cap is reached."""

from __future__ import annotations

from mcppool.gateway.http.connection import ERROR_HEADERS, HttpConnection
from mcppool.pipeline.call import Call
from mcppool.pipeline.local_reply.faults import end_cancelled
from mcppool.pipeline.outcome import Outcome
from mcppool.wire.era import Era
from mcppool.wire.errors import REASONS, Delivered, Reason, fault_body
from mcppool.wire.sse import render
from mcppool.wire.versions import META_SUBSCRIPTION_ID

LISTEN = "subscriptions/listen"
MEMORY = "limits.memory"
CLIENT_MEMORY = "listener.max_memory_per_client"
STREAMS = "listener.max_streams"
CLIENT_STREAMS = "listener.max_streams_per_client"
_CAPS = {
    MEMORY: "The gateway's memory is in use",
    CLIENT_MEMORY: "This client's share of the gateway's memory is in use",
    STREAMS: "Too many streams are open",
    CLIENT_STREAMS: "Too many streams of this client are open",
}
RETRY_SOON = 1.0  # seconds; another gateway, or the next one here, takes calls by then


def refuse(call: Call, connection: HttpConnection, reason: Reason, key: str) -> None:
    """Refuse a call because a cap is reached; `key` is where the configuration sets it."""
    _fault(call, connection, reason, "no", 0, f"{_CAPS[key]} ({key})")


def say_last_words(call: Call, connection: HttpConnection, outcome: Outcome) -> None:
    """End the call at a shutdown, in the form that its answer has so far; a stream of anything but events is cut.
    `outcome` is how far the call has come."""
    request = call.request
    if outcome.cancelled:
        end_cancelled(connection, outcome)
    elif not connection.replied:
        _fault(call, connection, Reason.SHUTTING_DOWN, outcome.delivered, outcome.attempts)
    elif connection.events:
        if request.id is None or outcome.resumable:  # whoever reads it comes back
            last = b""
        elif request.method == LISTEN:  # the end that the specification has for it
            last = render(
                b'{"jsonrpc":"2.0","id":%b,"result":{"resultType":"complete","_meta":{"%b":%b}}}'
                % (request.id, META_SUBSCRIPTION_ID.encode(), request.id)
            )
        else:
            last = render(_fault_bytes(call, Reason.SHUTTING_DOWN, outcome.delivered, outcome.attempts))
        connection.write(last)
        connection.end()


def _fault(
    call: Call,
    connection: HttpConnection,
    reason: Reason,
    delivered: Delivered,
    attempts: int,
    message: str | None = None,
) -> None:
    status = REASONS[reason].status
    headers = ERROR_HEADERS + b"retry-after: %d\r\n" % RETRY_SOON
    if call.request.id is None:
        connection.whole(status, b"", b"")
    elif call.era is Era.LEGACY:  # design §5.2: its clients never read the body of anything else
        connection.whole(200, ERROR_HEADERS, _fault_bytes(call, reason, delivered, attempts, message))
    else:
        connection.whole(status, headers, _fault_bytes(call, reason, delivered, attempts, message))


def _fault_bytes(call: Call, reason: Reason, delivered: Delivered, attempts: int, message: str | None = None) -> bytes:
    return fault_body(
        call.request.id,
        reason,
        message or REASONS[reason].meaning,
        delivered=delivered,
        attempts=attempts,
        retry_after=RETRY_SOON,
    )
