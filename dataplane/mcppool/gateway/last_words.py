"""What the gateway itself says of a call that it does not carry on: at a shutdown, or with too many streams open."""

from __future__ import annotations

from mcppool.gateway.http1 import JSON_HEADERS, HttpConnection
from mcppool.pipeline.attempt import Outcome
from mcppool.pipeline.exchange import Call
from mcppool.wire.era import Era
from mcppool.wire.errors import REASONS, Delivered, Reason, fault_body
from mcppool.wire.sse import render
from mcppool.wire.versions import META_SUBSCRIPTION_ID

LISTEN = "subscriptions/listen"
RETRY_SOON = 1.0  # seconds; another gateway, or the next one here, takes calls by then


def refuse_stream(call: Call, connection: HttpConnection) -> None:
    """One stream more than `listener.max_streams` allows."""
    _fault(call, connection, Reason.TOO_MANY_STREAMS, "no", 0)


def say_last_words(call: Call, connection: HttpConnection, outcome: Outcome) -> None:
    """End the call at a shutdown, in the form that its answer has so far; a stream of anything but events is cut.
    `outcome` is how far the call has come."""
    request = call.request
    if not connection.replied:
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


def _fault(call: Call, connection: HttpConnection, reason: Reason, delivered: Delivered, attempts: int) -> None:
    status = REASONS[reason].status
    headers = JSON_HEADERS + b"retry-after: %d\r\n" % RETRY_SOON
    if call.request.id is None:
        connection.whole(status, b"", b"")
    elif call.era is Era.LEGACY:  # DESIGN §7: its clients never read the body of anything else
        connection.whole(200, JSON_HEADERS, _fault_bytes(call, reason, delivered, attempts))
    else:
        connection.whole(status, headers, _fault_bytes(call, reason, delivered, attempts))


def _fault_bytes(call: Call, reason: Reason, delivered: Delivered, attempts: int) -> bytes:
    return fault_body(
        call.request.id,
        reason,
        REASONS[reason].meaning,
        delivered=delivered,
        attempts=attempts,
        retry_after=RETRY_SOON,
    )
