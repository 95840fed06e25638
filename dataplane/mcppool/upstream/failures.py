"""How one attempt can fail, and what is then known of it."""

from __future__ import annotations

from mcppool.wire.errors import Delivered, Reason


class AttemptFailed(Exception):
    """One attempt of a request ended without a valid answer.

    `sent` is False only where the request provably never reached the server: that alone makes a repetition free of
    risk for every call. `answered` is True where at least the beginning of an answer came back, so that the server
    certainly had the request. `detail` is for the log; it may name addresses and never goes to a client.
    """

    reason: Reason = Reason.CONNECTION_LOST
    sent: bool = True

    def __init__(self, detail: str, *, answered: bool = False) -> None:
        super().__init__(detail)
        self.detail = detail
        self.answered = answered

    @property
    def delivered(self) -> Delivered:
        """Whether the server had the request: `"no"`, `"yes"` or `"unknown"` (DESIGN §7)."""
        if not self.sent:
            return "no"
        return "yes" if self.answered else "unknown"


class ConnectFailed(AttemptFailed):
    """No connection could be made: refused, unreachable, TLS failed, or it took longer than `connection_timeout`."""

    reason = Reason.CONNECT_FAILED
    sent = False


class QueueFull(AttemptFailed):
    """More calls than `max_waiting` wait for a connection already."""

    reason = Reason.QUEUE_FULL
    sent = False


class AcquireTimeout(AttemptFailed):
    """No connection became free within `acquire_timeout`."""

    reason = Reason.ACQUIRE_TIMEOUT
    sent = False


class ConnectionLost(AttemptFailed):
    """The connection broke after the request had been written, before its answer was complete."""

    reason = Reason.CONNECTION_LOST


class TimedOut(AttemptFailed):
    """The answer, or the next part of it, did not come in time."""

    reason = Reason.TIMEOUT


class BadAnswer(AttemptFailed):
    """What came back is not an answer: no HTTP, no JSON-RPC, too large, or to another request."""

    reason = Reason.BAD_UPSTREAM_ANSWER

    def __init__(self, detail: str) -> None:
        super().__init__(detail, answered=True)


class ServerFault(AttemptFailed):
    """The server answered with a status of 500 or more: it had the request, and nobody knows what became of it."""

    reason = Reason.UPSTREAM_ERROR

    def __init__(self, detail: str) -> None:
        super().__init__(detail, answered=True)


class ServerRefused(AttemptFailed):
    """The server refused the request before it did anything (429, `refused_statuses`): as good as never sent."""

    reason = Reason.UPSTREAM_REFUSED
    sent = False


class NoEndpoint(AttemptFailed):
    """There is nobody to send the request to."""

    reason = Reason.NO_ENDPOINT
    sent = False


class SessionGone(AttemptFailed):
    """The endpoint that holds the client's session is gone."""

    reason = Reason.SESSION_LOST
    sent = False
