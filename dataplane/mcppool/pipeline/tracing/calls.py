"""The span and the duration of a client's call, around all of its steps."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import random
from time import monotonic, time_ns
from typing import Any, Final, Protocol, TypeVar

from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.tracing.span import MAX_TEXT, Span, current
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.direct_attempt import Downstream, Rest
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.tracing.context import NOTHING, Incoming, incoming, is_unsampled, is_unsampled_in
from mcppool.pipeline.tracing.conventions import LISTEN, own_server_attributes, server_error
from mcppool.pipeline.tracing.exchanges import TracedExchange
from mcppool.pipeline.tracing.operations import Operations
from mcppool.policy.trace_context import Sampler, new_trace_id

MAX_HEADS: Final = 256
"""Heads that are remembered, each of at most `MAX_HEAD` bytes."""
MAX_HEAD: Final = 4096

Send = Callable[[Span], None]
T = TypeVar("T")


class Serve(Protocol):
    """The type of `Pipeline.serve`."""

    def __call__(self, call: Call, reply: Reply, outcome: Outcome | None = None, /) -> Coroutine[Any, Any, Outcome]:
        """Answer a call."""
        ...


class Begin(Protocol):
    """The type of `Pipeline.begin`."""

    def __call__(self, call: Call, reply: Reply, outcome: Outcome, downstream: Downstream, /) -> Rest | None:
        """Begin a call."""
        ...


class TracedCalls:
    """Traces the calls of one pool. Messages without a method, and `GET` and `DELETE`, are no operations."""

    def __init__(
        self,
        begin: Begin,
        serve: Serve,
        exchange: TracedExchange,
        operations: Operations,
        sampler: Sampler,
        metrics: PoolMetrics,
        send: Send,
    ) -> None:
        self._begin = begin
        self._serve = serve
        self._exchange = exchange
        self._operations = operations
        self._sampler = sampler
        self._ratio = sampler.ratio
        self._metrics = metrics
        self._send = send
        self._plain: set[bytes] = set()  # heads without a trace context: clients repeat them, so each is searched once

    def serve(self, call: Call, reply: Reply, outcome: Outcome | None = None, /) -> Coroutine[Any, Any, Outcome]:
        """See `Pipeline.serve`. A call that is not sampled runs as without tracing, in no coroutine besides."""
        context = self._sampled(call)
        if context is None:
            return self._serve(call, reply, outcome)
        span, outcome = self._span(call, context), outcome or Outcome()
        if call.request.method == LISTEN:
            reply = _Opening(reply, lambda: self._end(span, call, outcome))
        return self._traced(self._serve(call, reply, outcome), span, call, outcome)

    def begin(self, call: Call, reply: Reply, outcome: Outcome, downstream: Downstream, /) -> Rest | None:
        """See `Pipeline.begin`."""
        if call.request.traceparent is None and call.forward in self._plain:
            if random() >= self._ratio:  # the usual case, without a frame of its own
                return self._begin(call, reply, outcome, downstream)
            context = NOTHING if call.request.method is not None else None
        else:
            context = self._sampled(call)
        if context is None:
            return self._begin(call, reply, outcome, downstream)
        span, exchange = self._span(call, context), self._exchange
        if call.request.method == LISTEN:
            reply = _Opening(reply, lambda: self._end(span, call, outcome))
        exchange.beginning = span, self._end
        try:
            rest = self._begin(call, reply, outcome, downstream)
        except BaseException:
            self._end(span, call, outcome)
            raise
        finally:
            exchange.beginning = None
        return None if rest is None else self._traced(rest, span, call, outcome)

    def _sampled(self, call: Call) -> Incoming | None:
        """The trace context of a call that is sampled, None for any other."""
        context, parent = NOTHING, call.request.traceparent
        if parent is None and call.forward in self._plain:
            if random() >= self._ratio:
                return None
        elif self._sampler.parent_based and (is_unsampled_in(call.forward) if parent is None else is_unsampled(parent)):
            return None
        else:
            context = incoming(call)
            if context is NOTHING:
                self._remember(call.forward)
            if not self._sampler.samples(context.parent):
                return None
        return None if call.request.method is None else context

    def _remember(self, head: bytes) -> None:
        if len(self._plain) >= MAX_HEADS:
            self._plain.clear()
        if len(head) <= MAX_HEAD:
            self._plain.add(head)

    def _span(self, call: Call, context: Incoming) -> Span:
        """The span of a call that has just come."""
        parent, operation, attributes = context.parent, self._operations.of_call(call), own_server_attributes(call)
        # By position: arguments by name cost a class a microsecond.
        if parent is None:
            span = Span(operation, new_trace_id(), attributes)
        else:
            span = Span(operation, parent.trace_id, attributes, parent.span_id, True, parent.state, context.link)
        span.start -= round((monotonic() - call.received) * 1e9)
        return span

    async def _traced(self, rest: Coroutine[Any, Any, T], span: Span, call: Call, outcome: Outcome) -> T:
        """Do the rest of a call, and end its span."""
        token = current.set(span)
        try:
            return await rest
        finally:
            current.reset(token)
            self._end(span, call, outcome)

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
        self.within_event = reply.within_event
        self.resumable = reply.resumable
        self.end = reply.end
        self.abort = reply.abort
        self.whole = reply.whole
        self.whole_stream = reply.whole_stream

    def begin(self, status: int, headers: bytes, part: bytes = b"") -> None:
        """As of `Reply`."""
        self._reply.begin(status, headers, part)
        self._opened()
