"""The span and the duration of a client's call, around all of its steps."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from random import random
from time import monotonic
from typing import Any, Final, Protocol, TypeVar

from mcppool.observe.tracing.span import Span, current
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.direct_attempt import Downstream, Rest
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.tracing.call_spans import CallSpans
from mcppool.pipeline.tracing.context import NOTHING, Incoming, incoming, is_unsampled, is_unsampled_in
from mcppool.pipeline.tracing.conventions import LISTEN, own_server_attributes
from mcppool.pipeline.tracing.operations import Operations
from mcppool.policy.trace_context import Sampler, new_trace_id

MAX_HEADS: Final = 256
"""Heads that are remembered, each of at most `MAX_HEAD` bytes."""
MAX_HEAD: Final = 4096

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
        operations: Operations,
        sampler: Sampler,
        spans: CallSpans,
    ) -> None:
        self._begin = begin
        self._serve = serve
        self._operations = operations
        self._sampler = sampler
        self._ratio = sampler.ratio
        self._spans = spans
        self._plain: set[bytes] = set()  # heads without a trace context: clients repeat them, so each is searched once

    def serve(self, call: Call, reply: Reply, outcome: Outcome | None = None, /) -> Coroutine[Any, Any, Outcome]:
        """See `Pipeline.serve`. A call that is not sampled runs as without tracing, in no coroutine besides."""
        context = self._sampled(call)
        if context is None:
            return self._serve(call, reply, outcome)
        span, outcome = self._span(call, context), outcome or Outcome()
        if call.request.method == LISTEN:
            reply = _Opening(reply, lambda: self._spans.end(span, call, outcome))
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
        span = self._span(call, context)
        if call.request.method == LISTEN:
            reply = _Opening(reply, lambda: self._spans.end(span, call, outcome))
        outcome.trace = span
        try:
            rest = self._begin(call, reply, outcome, downstream)
        except BaseException:
            self._spans.end(span, call, outcome)
            raise
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
            self._spans.end(span, call, outcome)


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
