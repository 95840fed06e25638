"""The ends of the spans of calls."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time_ns

from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.tracing.span import MAX_TEXT, Span
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.tracing.conventions import LISTEN, server_error


class CallSpans:
    """Ends the spans of one pool's calls by their outcomes, and sends them."""

    def __init__(self, metrics: PoolMetrics, send: Callable[[Span], None]) -> None:
        self._metrics = metrics
        self._send = send

    def end(self, span: Span, call: Call, outcome: Outcome) -> None:
        """The call is over; nothing happens if its span has ended before."""
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
