"""How one attempt can fail, and what is then known of it."""

from __future__ import annotations

from typing import Self

from mcppool.policy.error_class import ErrorClass
from mcppool.wire.errors import Delivered, Reason

WHOLE_CALL = "timeouts.request, or the tool's own timeout"
"""The `limit` of a call that took longer than it may in all."""


class AttemptFailed(Exception):
    """One attempt of a request ended without a valid answer.

    `sent` is False only where the request provably never reached the server: that alone makes a repetition free of
    risk for every call. `answered` is True where at least the beginning of an answer came back, so that the server
    certainly had the request. `retry_after` is for how many seconds the server asks to be left alone. `limit` is the
    key of the configuration whose time is over, where that is why. `detail` is for the log; it may name addresses and
    never goes to a client.
    """

    reason: Reason = Reason.CONNECTION_LOST
    error_class: ErrorClass = ErrorClass.NETWORK
    sent: bool = True
    note: str = ""
    """What a client is told besides the meaning of the reason."""

    def __init__(
        self, detail: str, *, answered: bool = False, retry_after: float | None = None, limit: str | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.answered = answered
        self.retry_after = retry_after
        self.limit = limit

    def kept(self) -> Self:
        """The failure, for who keeps it: without the frames that it has come through.

        They hold the call with its body, and whoever keeps the failure is one of them: such a ring would stay in memory
        until the garbage collector finds it.
        """
        self.__traceback__ = self.__context__ = self.__cause__ = None
        return self

    @property
    def delivered(self) -> Delivered:
        """Whether the server had the request: `"no"`, `"yes"` or `"unknown"` (design §5.3)."""
        if not self.sent:
            return "no"
        return "yes" if self.answered else "unknown"


class ConnectFailed(AttemptFailed):
    """No connection could be made: refused, unreachable, TLS failed, or it took longer than `connection_timeout`.

    `silent`: nobody there said anything at all, not even that it is refused; so calls under way there are as lost.
    `ours`: this process or machine has no more files or ports, which says nothing about the server.
    """

    reason = Reason.CONNECT_FAILED
    sent = False

    def __init__(self, detail: str, *, limit: str | None = None, silent: bool = False, ours: bool = False) -> None:
        super().__init__(detail, limit=limit)
        self.silent = silent
        self.ours = ours


class QueueFull(AttemptFailed):
    """More calls than `max_waiting` wait for a connection already."""

    reason = Reason.QUEUE_FULL
    error_class = ErrorClass.THROTTLED
    sent = False


class AcquireTimeout(AttemptFailed):
    """No connection became free within `acquire_timeout`."""

    reason = Reason.ACQUIRE_TIMEOUT
    error_class = ErrorClass.THROTTLED
    sent = False


class ConnectionLost(AttemptFailed):
    """The connection broke after the request had been written, before its answer was complete."""

    reason = Reason.CONNECTION_LOST


class TimedOut(AttemptFailed):
    """The answer, or the next part of it, did not come in time."""

    reason = Reason.TIMEOUT
    error_class = ErrorClass.TIMEOUT


class DeadlineExceeded(TimedOut):
    """The call's own time was over before it could be sent."""

    sent = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail, limit=WHOLE_CALL)


class Hung(TimedOut):
    """The call waited for its first byte at an endpoint that turned out to answer nothing at all."""


class BadAnswer(AttemptFailed):
    """What came back is not an answer: no HTTP, no JSON-RPC, too large, or to another request."""

    reason = Reason.BAD_UPSTREAM_ANSWER
    error_class = ErrorClass.RETRYABLE

    def __init__(self, detail: str) -> None:
        super().__init__(detail, answered=True)


class Redirected(BadAnswer):
    """The server redirects: it has done nothing, and its URL in the configuration is wrong. We follow nowhere, for a
    redirect would choose where a client's words go. `location` is for the log."""

    sent = False

    def __init__(self, status: int, location: str | None) -> None:
        where = f" to {location}" if location is not None else ""
        super().__init__(f"HTTP {status}: a redirect{where}; is the endpoint's url right?")


class ServerFault(AttemptFailed):
    """The server answered with a status of 500 or more: it had the request, and nobody knows what became of it."""

    reason = Reason.UPSTREAM_ERROR

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__(f"HTTP {status}", answered=True, retry_after=retry_after)
        self.error_class = ErrorClass.THROTTLED if status == 503 else ErrorClass.RETRYABLE


class ServerRefused(AttemptFailed):
    """The server refused the request before it did anything (429, `refused_statuses`): as good as never sent."""

    reason = Reason.UPSTREAM_REFUSED
    error_class = ErrorClass.THROTTLED
    sent = False

    def __init__(self, status: int, retry_after: float | None = None) -> None:
        super().__init__(f"HTTP {status}", retry_after=retry_after)


class NoEndpoint(AttemptFailed):
    """There is nobody to send the request to. `note` says why, without addresses."""

    reason = Reason.NO_ENDPOINT
    error_class = ErrorClass.NON_RETRYABLE
    sent = False

    def __init__(self, detail: str, *, note: str = "") -> None:
        super().__init__(detail)
        self.note = note


class NoCatalog(NoEndpoint):
    """It is not known yet what the servers offer, since none has answered."""

    reason = Reason.NO_CATALOG


class SessionGone(AttemptFailed):
    """The endpoint that holds the client's session is gone."""

    reason = Reason.SESSION_LOST
    error_class = ErrorClass.NON_RETRYABLE
    sent = False


class SessionRejected(AttemptFailed):
    """The endpoint does not know the session, so it has not executed the call. `lost`: its process is known to have
    ended; `over`: the session itself is known to have been ended. `status` and `error` are its words: the HTTP status,
    and the JSON of its error where there is one."""

    reason = Reason.SESSION_LOST
    error_class = ErrorClass.NON_RETRYABLE
    sent = False

    def __init__(
        self, detail: str, *, lost: bool = False, over: bool = False, status: int = 404, error: bytes | None = None
    ) -> None:
        super().__init__(detail)
        self.lost = lost
        self.over = over
        self.status = status
        self.error = error


class RequestRejected(AttemptFailed):
    """The endpoint says that it does not know the session, and knows it: what it refuses is this request. `status` and
    `error` are its words."""

    reason = Reason.REQUEST_REJECTED
    error_class = ErrorClass.NON_RETRYABLE

    def __init__(self, rejected: SessionRejected) -> None:
        super().__init__(f"{rejected.detail}, of a session that the server knows", answered=True)
        self.status = rejected.status
        self.error = rejected.error


class CircuitOpen(AttemptFailed):
    """The tool's circuit breaker is open at every endpoint, and the call is not one that may try."""

    reason = Reason.CIRCUIT_OPEN
    error_class = ErrorClass.THROTTLED
    sent = False


class LimitReached(AttemptFailed):
    """As many calls as `limits` allows are in flight, and the queue before them is full."""

    reason = Reason.OVERLOADED
    error_class = ErrorClass.THROTTLED
    sent = False


class NoMemory(LimitReached):
    """An answer has come for which there is no memory. The server has done what it was asked to, and is not to
    blame."""

    sent = True

    def __init__(self) -> None:
        super().__init__("an answer for which there is no memory (limits.memory)", answered=True, limit="limits.memory")


class RateLimited(AttemptFailed):
    """More calls than `rate_limit` allows."""

    reason = Reason.RATE_LIMITED
    error_class = ErrorClass.THROTTLED
    sent = False
