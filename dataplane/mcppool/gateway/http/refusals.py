"""The last response of a connection that the gateway refuses to serve, or to read on."""

from __future__ import annotations

from mcppool.gateway.http.response_writer import ResponseWriter
from mcppool.gateway.http.validation import Malformed
from mcppool.wire.errors import INVALID_REQUEST, REASONS, Reason, error_body, fault_body


def refuse_connection(response: ResponseWriter, cap: str) -> None:
    """Say that `listener.<cap>` leaves no room for the connection."""
    reason = Reason.OVERLOADED
    message = f"Too many connections: listener.{cap} is reached"
    response.keep_alive = False
    response.error(
        REASONS[reason].status,
        fault_body(None, reason, message, delivered="no", attempts=0),
        b"retry-after: 1\r\n",
    )


def refuse_request(response: ResponseWriter, malformed: Malformed) -> None:
    """Say what is wrong with a request; later bytes cannot be understood."""
    response.start_refusal()
    response.error(malformed.status, error_body(None, INVALID_REQUEST, malformed.message))
