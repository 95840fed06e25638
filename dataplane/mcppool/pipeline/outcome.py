"""How a call ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mcppool.pipeline.request_id import ReissuedRequest
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http.connection import Connection
from mcppool.wire.envelope import RpcResponse
from mcppool.wire.errors import Delivered


class Underway(Protocol):
    """An attempt under way, as far as a cancellation must know it. `line` is the header line of its session there."""

    endpoint: Endpoint
    connection: Connection | None
    reissue: ReissuedRequest | None
    line: bytes


class Outcome:
    """How a call ended, for metrics and log. `failure` is why it was not answered by a server, `id` the name of our own
    under which the client and the log then have it.

    `status` is as in `mcp_tool_executions_total`, or `cancelled`; `internal_error` tells that the answer was -32603,
    and `neutral` that the answer says nothing of the endpoint: it is about the request;
    `size` is the answer's, in bytes; `endpoint` the last that was tried; `ended` when it was answered, 0 where we did
    not look. `delivered` is what is known of the call: the most that any of its attempts tells. `cut` is why a stream
    of which the client has a part ended before its answer. `taker` is given an answer that was accepted: its HTTP
    status, what it is, its bytes. `fallback` is a body to answer with when no endpoint can, and `fell_back` tells that
    it was needed. `resumable` is the last event id that the client has, where it can come back with it for the rest of
    the answer. `attempt` is the one under way of a session's call; `cancelled` tells that its client has cancelled it.
    """

    __slots__ = (
        "attempt", "attempts", "cancelled", "cut", "delivered", "ended", "endpoint", "failure", "fallback", "fell_back",
        "id", "internal_error", "neutral", "resumable", "size", "status", "taker",
    )  # fmt: skip

    def __init__(self) -> None:
        self.status = "cancelled"
        self.delivered: Delivered = "no"
        self.ended = 0.0
        self.attempts = 0
        self.cut: AttemptFailed | None = None
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
        self.cancelled = False

    def failed(self, failure: AttemptFailed) -> None:
        """Note a failed attempt. The call's delivery is the most certain one among its attempts."""
        self.learn(failure.delivered)

    def learn(self, delivered: Delivered) -> None:
        """Include the delivery of one more attempt."""
        if delivered == "yes" or self.delivered == "no":
            self.delivered = delivered

    def take(self, other: Outcome) -> None:
        """Take over the outcome of an attempt that ran separately."""
        self.status = other.status
        self.internal_error = other.internal_error
        self.neutral = other.neutral
        self.cut = other.cut
        self.size = other.size
