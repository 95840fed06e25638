"""The outcome of a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mcppool.observe.tracing.span import Span
from mcppool.pipeline.request_id import ReissuedRequest
from mcppool.policy.access_request import Decision
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http.connection import Connection
from mcppool.wire.errors import Delivered
from mcppool.wire.rpc_response import RpcResponse


class Underway(Protocol):
    """The facts about an attempt in flight that its cancellation needs. `line` is the header line of its session
    there."""

    endpoint: Endpoint
    connection: Connection | None
    reissue: ReissuedRequest | None
    line: bytes


class Outcome:
    """The outcome of a call, for metrics and log.

    * `status`: as in `mcp_tool_executions_total`, or `cancelled`.
    * `failure`: the reason why no server answered it; `id` identifies it in the error and the log.
    * `code`: the code of the JSON-RPC error that the client got, None if it got none.
    * `internal_error`: the answer was -32603.
    * `neutral`: the answer says nothing about the endpoint, because it is about the request.
    * `size`: bytes of the answer.
    * `endpoint`: the last one tried.
    * `began`: the beginning of the attempt that was answered, 0 if none was; in monotonic seconds.
    * `ended`: the time of the answer, 0 if it was not taken.
    * `delivered`: the most certain delivery among its attempts.
    * `cut`: the reason why a stream ended before its answer, after the client had got a part.
    * `taker`: gets an accepted answer: its HTTP status, the parsed message, its bytes.
    * `fallback`: a body for the case that no endpoint can answer; `fell_back` tells that it was used.
    * `resumable`: the client's last event id, if the client can come back with it for the rest of the answer.
    * `attempt`: the attempt in flight of a session's call.
    * `cancelled`: the client has cancelled the call.
    * `decision`: the decision of the access rules, None if the pool has none.
    * `trace`: the span of a sampled call that begins without a task, None for any other call.
    """

    __slots__ = (
        "attempt", "attempts", "began", "cancelled", "code", "cut", "decision", "delivered", "ended", "endpoint",
        "failure", "fallback", "fell_back", "id", "internal_error", "neutral", "resumable", "size", "status", "taker",
        "trace",
    )  # fmt: skip

    def __init__(self) -> None:
        self.status = "cancelled"
        self.delivered: Delivered = "no"
        self.began = 0.0
        self.ended = 0.0
        self.attempts = 0
        self.decision: Decision | None = None
        self.cut: AttemptFailed | None = None
        self.code: int | None = None
        self.internal_error = False
        self.neutral = False
        self.failure: AttemptFailed | None = None
        self.id = ""
        self.endpoint: Endpoint | None = None
        self.size = 0
        self.taker: Callable[[int, RpcResponse, bytes], object] | None = None
        self.fallback: bytes | None = None
        self.fell_back = False
        self.resumable: str | None = None
        self.attempt: Underway | None = None
        self.trace: Span | None = None
        self.cancelled = False

    def failed(self, failure: AttemptFailed) -> None:
        """Note a failed attempt. The call's delivery is the most certain one among its attempts."""
        self.learn(failure.delivered)

    def learn(self, delivered: Delivered) -> None:
        """Include the delivery of one more attempt."""
        if delivered == "yes" or self.delivered == "no":
            self.delivered = delivered

    def take(self, other: Outcome) -> None:
        """Take the outcome of an attempt that ran separately."""
        self.status = other.status
        self.code = other.code
        self.internal_error = other.internal_error
        self.neutral = other.neutral
        self.failure = other.failure
        self.id = other.id
        self.cut = other.cut
        self.size = other.size
