"""One span, and the span that the running code belongs to."""

from __future__ import annotations

from collections.abc import Mapping
from contextvars import ContextVar
from time import time_ns
from typing import Final, Literal

from mcppool.policy.trace_context import TraceContext, new_span_id, write_traceparent

MAX_TEXT: Final = 256
"""Upper bound on the characters of a text of a client or server in a span."""

Value = str | int
Kind = Literal["server", "client"]


class Operation:
    """The common part of spans of one operation: name, kind and `attributes`. It is made and encoded once for many
    spans. `encoded` is None until the sender has encoded it."""

    __slots__ = ("attributes", "encoded", "kind", "name")

    def __init__(self, name: str, kind: Kind, attributes: Mapping[str, Value]) -> None:
        self.name = name
        self.kind: Kind = kind
        self.attributes = attributes
        self.encoded: bytes | None = None


class Span:
    """One sampled operation. `start` and `end` are nanoseconds of wall-clock time.

    `parent_id` is empty for the first span of a trace; `remote` tells that another process has made the parent. `state`
    is the trace's `tracestate`. `attributes` are those that `operation` has not. `error` is the value of `error.type`,
    None if the operation succeeded; `message` describes it. `link` is a second context that came with the call.
    """

    __slots__ = (
        "attributes", "end", "error", "link", "message", "operation", "parent_id", "remote", "span_id", "start",
        "state", "trace_id",
    )  # fmt: skip

    def __init__(
        self,
        operation: Operation,
        trace_id: str,
        attributes: dict[str, Value],
        parent_id: str = "",
        remote: bool = False,
        state: str = "",
        link: TraceContext | None = None,
    ) -> None:
        self.operation = operation
        self.trace_id = trace_id
        self.span_id = new_span_id()
        self.parent_id = parent_id
        self.remote = remote
        self.state = state
        self.link = link
        self.attributes = attributes
        self.error: str | None = None
        self.message = ""
        self.start = time_ns()
        self.end = 0

    @property
    def traceparent(self) -> str:
        """The context for the operations that it causes elsewhere."""
        return write_traceparent(self.trace_id, self.span_id)

    @property
    def ids(self) -> Mapping[str, str]:
        """Its ids, for a log line."""
        return {"trace_id": self.trace_id, "span_id": self.span_id}


current: Final[ContextVar[Span | None]] = ContextVar("mcppool span", default=None)
"""The span of the sampled call that the running task works for."""
