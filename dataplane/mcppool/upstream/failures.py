"""The ways in which one attempt can fail, and what each tells about delivery."""

from __future__ import annotations

from typing import Self

from mcppool.policy.error_class import ErrorClass
from mcppool.wire.errors import Delivered, Reason

WHOLE_CALL = "timeouts.request, or the tool's own timeout"
"""The `limit` of a call that exceeded its total time."""


class AttemptFailed(Exception):
    """One attempt of a request ended without a valid answer.

    `sent` is False only where the request provably never reached the server: then every call may be repeated without
    risk. `answered` is True if at least the beginning of an answer came back, so the server certainly had the request.
    `retry_after` is the number of seconds that the server asks the gateway to stay away. `limit` is the configuration
    key of the time-out that expired, if one did. `detail` is for the log; it may name addresses and never goes to a
    client.
    """

    reason: Reason = Reason.CONNECTION_LOST
    error_class: ErrorClass = ErrorClass.NETWORK
    sent: bool = True
    note: str = ""
    """Text for the client, in addition to the meaning of the reason."""

    def __init__(
        self, detail: str, *, answered: bool = False, retry_after: float | None = None, limit: str | None = None
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.answered = answered
        self.retry_after = retry_after
        self.limit = limit

    def kept(self) -> Self:
        """The failure without its traceback, for callers that keep it.

        The frames of the traceback hold the call with its body, and the keeper of the failure is one of these frames:
        the reference cycle would keep the memory until the garbage collector finds it.
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

    `silent`: the address gave no sign of life, not even a refusal, so calls in flight there are as lost. `ours`: this
    process or machine has no more files or ports, which says nothing about the server.
    """

    reason = Reason.CONNECT_FAILED
    sent = False

    def __init__(self, detail: str, *, limit: str | None = None, silent: bool = False, ours: bool = False) -> None:
        super().__init__(detail, limit=limit)
        self.silent = silent
        self.ours = ours


class QueueFull(AttemptFailed):
    """`max_waiting` calls already wait for a connection."""

    reason = Reason.QUEUE_FULL
    error_class = ErrorClass.THROTTLED
    sent = False


class AuditFull(AttemptFailed):
    """The audit log takes no more lines, and no call of a tool may go unrecorded (`audit.overflow`)."""

    reason = Reason.AUDIT_FULL
    error_class = ErrorClass.THROTTLED
    sent = False

    def __init__(self) -> None:
        super().__init__("the audit log is full")


class AcquireTimeout(AttemptFailed):
    """No connection became free within `acquire_timeout`."""

    reason = Reason.ACQUIRE_TIMEOUT
    error_class = ErrorClass.THROTTLED
    sent = False


class ConnectionLost(AttemptFailed):
    """The connection broke after the request had been written, before its answer was complete."""

    reason = Reason.CONNECTION_LOST


class NotWritten(ConnectionLost):
    """The connection broke before the request was written."""

    sent = False


class TimedOut(AttemptFailed):
    """The answer, or the next part of it, did not come in time."""

    reason = Reason.TIMEOUT
    error_class = ErrorClass.TIMEOUT


class DeadlineExceeded(TimedOut):
    """The call's deadline passed before the call could be sent."""

    sent = False

    def __init__(self, detail: str) -> None:
        super().__init__(detail, limit=WHOLE_CALL)


class Hung(TimedOut):
    """The call waited for its first byte at an endpoint that turned out to hang."""


class BadAnswer(AttemptFailed):
    """The bytes that came back are not a valid answer: no HTTP, no JSON-RPC, too large, or for another request."""

    reason = Reason.BAD_UPSTREAM_ANSWER
    error_class = ErrorClass.RETRYABLE

    def __init__(self, detail: str) -> None:
        super().__init__(detail, answered=True)


class Redirected(BadAnswer):
    """The server redirects: it has done nothing, and its URL in the configuration is wrong. The gateway follows no
    redirect, because a redirect would choose the receiver of a client's data. `location` is for the log."""

    sent = False

    def __init__(self, status: int, location: str | None) -> None:
        where = f" to {location}" if location is not None else ""
        super().__init__(f"HTTP {status}: a redirect{where}; is the endpoint's url right?")


class ServerFault(AttemptFailed):
    """The server answered with a status of 500 or more: it had the request, and its outcome is unknown."""

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


class UpstreamAuth(AttemptFailed):
    """The server refused the credentials of the gateway (HTTP 401, 403 or 407)."""

    reason = Reason.UPSTREAM_AUTH
    error_class = ErrorClass.NON_RETRYABLE

    def __init__(self, status: int) -> None:
        super().__init__(f"HTTP {status}: the server refuses the gateway's credentials or requires some", answered=True)


class NoCredentials(AttemptFailed):
    """The gateway has no valid credentials for the servers, so it sends nothing."""

    reason = Reason.UPSTREAM_AUTH
    error_class = ErrorClass.NON_RETRYABLE
    sent = False


class TokenRefused(NoCredentials):
    """A server refused the access token (HTTP 401) before it looked at the request, and a new one is being fetched."""


class NoEndpoint(AttemptFailed):
    """No endpoint can take the request. `note` gives the reason, without addresses."""

    reason = Reason.NO_ENDPOINT
    error_class = ErrorClass.NON_RETRYABLE
    sent = False

    def __init__(self, detail: str, *, note: str = "") -> None:
        super().__init__(detail)
        self.note = note


class NoCatalog(NoEndpoint):
    """The catalog is not known yet, because no server has answered."""

    reason = Reason.NO_CATALOG


class SessionGone(AttemptFailed):
    """The endpoint that holds the client's session is gone."""

    reason = Reason.SESSION_LOST
    error_class = ErrorClass.NON_RETRYABLE
    sent = False


class SessionRejected(AttemptFailed):
    """The endpoint does not know the session, so it has not executed the call.

    `lost`: its process has ended; `over`: the session itself was ended. `status` and `error` are the server's answer:
    the HTTP status, and the JSON of its error where there is one.
    """

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
    """The endpoint says that it does not know the session, but does know it: it refuses this request only. `status` and
    `error` are the server's answer."""

    reason = Reason.REQUEST_REJECTED
    error_class = ErrorClass.NON_RETRYABLE

    def __init__(self, rejected: SessionRejected) -> None:
        super().__init__(f"{rejected.detail}, of a session that the server knows", answered=True)
        self.status = rejected.status
        self.error = rejected.error


class CircuitOpen(AttemptFailed):
    """The tool's circuit breaker is open at every endpoint, and the call is not chosen as a trial."""

    reason = Reason.CIRCUIT_OPEN
    error_class = ErrorClass.THROTTLED
    sent = False


class LimitReached(AttemptFailed):
    """The limit of `limits` is reached, and the queue is full."""

    reason = Reason.OVERLOADED
    error_class = ErrorClass.THROTTLED
    sent = False


class NoMemory(LimitReached):
    """An answer has come, and there is no memory to hold it. The server has done its work and is not to blame."""

    sent = True

    def __init__(self) -> None:
        super().__init__("there is no memory for the answer (limits.memory)", answered=True, limit="limits.memory")


class RateLimited(AttemptFailed):
    """The rate exceeds `rate_limit`."""

    reason = Reason.RATE_LIMITED
    error_class = ErrorClass.THROTTLED
    sent = False
