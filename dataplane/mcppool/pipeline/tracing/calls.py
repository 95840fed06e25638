"""The span and the duration of a client's call, around all of its steps."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import monotonic, time_ns
from typing import Any, Protocol

from mcppool.observe.metrics import KNOWN_METHODS, PoolMetrics
from mcppool.observe.tracing.durations import OperationKey, PoolDurations
from mcppool.observe.tracing.span import MAX_TEXT, Span, current
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.tracing.context import Incoming, incoming
from mcppool.pipeline.tracing.conventions import LISTEN, OTHER, server_attributes, server_error, span_name, version_of
from mcppool.policy.trace_context import Sampler, new_trace_id

Send = Callable[[Span], None]


class Serve(Protocol):
    """The type of `Pipeline.serve`."""

    def __call__(self, call: Call, reply: Reply, outcome: Outcome | None = None, /) -> Coroutine[Any, Any, Outcome]:
        """Answer a call."""
        ...


class TracedCalls:
    """Traces the calls of one pool. Messages without a method, and `GET` and `DELETE`, are no operations."""

    def __init__(
        self, serve: Serve, sampler: Sampler, metrics: PoolMetrics, durations: PoolDurations, send: Send
    ) -> None:
        self._serve = serve
        self._sampler = sampler
        self._metrics = metrics
        self._durations = durations
        self._send = send

    async def serve(self, call: Call, reply: Reply, outcome: Outcome | None = None) -> Outcome:
        """See `Pipeline.serve`."""
        outcome = outcome or Outcome()
        method = call.request.method
        if method is None:
            return await self._serve(call, reply, outcome)
        context = incoming(call)
        if self._sampler.samples(context.parent):
            return await self._traced(call, reply, outcome, context)
        try:
            return await self._serve(call, reply, outcome)
        finally:
            if method != LISTEN:
                self._observe(call, outcome)

    async def _traced(self, call: Call, reply: Reply, outcome: Outcome, context: Incoming) -> Outcome:
        parent = context.parent
        span = Span(
            span_name(call), "server",
            new_trace_id() if parent is None else parent.trace_id,
            server_attributes(call, self._metrics.name),
            parent_id="" if parent is None else parent.span_id,
            remote=parent is not None,
            state="" if parent is None else parent.state,
            link=context.link,
        )  # fmt: skip
        span.start -= round((monotonic() - call.received) * 1e9)
        if call.request.method == LISTEN:
            reply = _Opening(reply, lambda: self._end(span, call, outcome))
        token = current.set(span)
        try:
            return await self._serve(call, reply, outcome)
        finally:
            current.reset(token)
            self._end(span, call, outcome)
            if call.request.method != LISTEN:
                self._observe(call, outcome)

    def _observe(self, call: Call, outcome: Outcome) -> None:
        request = call.request
        method = request.method or ""
        tool = ""
        if method == "tools/call" and request.name is not None:
            tool = request.name if request.name in self._metrics.known_tools else OTHER
        code = "" if outcome.code is None or outcome.status == "success" else str(outcome.code)
        key = OperationKey(
            method if method in KNOWN_METHODS else OTHER, tool, server_error(outcome), code, version_of(call)
        )
        self._durations.server_operations.observe(key, (outcome.ended or monotonic()) - call.received)

    def _end(self, span: Span, call: Call, outcome: Outcome) -> None:
        if span.end:
            return
        span.end = time_ns()
        span.attributes["mcppool.attempts"] = outcome.attempts
        if outcome.code is not None and outcome.status not in ("success", "tool_error"):
            span.attributes["rpc.response.status_code"] = str(outcome.code)
        failure = outcome.failure or outcome.cut
        if failure is not None and not outcome.fell_back:
            span.attributes["mcppool.reason"] = str(failure.reason)
            span.message = failure.detail[:MAX_TEXT]
        if call.request.method != LISTEN or outcome.status not in ("cancelled", "success"):
            span.error = server_error(outcome) or None
        if call.request.method == "tools/call" and outcome.status in ("success", "tool_error", "error"):
            self._exemplify(span, call, outcome)
        self._send(span)

    def _exemplify(self, span: Span, call: Call, outcome: Outcome) -> None:
        stats = self._metrics.tool(call.request.name or "")
        stats.duration.exemplify((outcome.ended or monotonic()) - call.received, span.trace_id, span.span_id)
        if outcome.status != "error":
            stats.size.exemplify(outcome.size, span.trace_id, span.span_id)


class _Opening:
    """The `Reply` of a stream without an end: its span ends when it is open."""

    def __init__(self, reply: Reply, opened: Callable[[], None]) -> None:
        self._reply = reply
        self._opened = opened
        self.aside = reply.aside
        self.write = reply.write
        self.drain = reply.drain
        self.end = reply.end
        self.abort = reply.abort
        self.whole = reply.whole
        self.whole_stream = reply.whole_stream

    def begin(self, status: int, headers: bytes) -> None:
        """As of `Reply`."""
        self._reply.begin(status, headers)
        self._opened()
