"""The tracing of one pool, by one specification."""

from __future__ import annotations

from time import time

from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.tracing.durations import PoolDurations, SessionKey
from mcppool.observe.tracing.sender import senders
from mcppool.observe.tracing.span import Span
from mcppool.pipeline.exchange import Exchange
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.tracing.call_spans import CallSpans
from mcppool.pipeline.tracing.calls import Begin, Serve, TracedCalls
from mcppool.pipeline.tracing.durations import CallDurations
from mcppool.pipeline.tracing.exchanges import TracedExchange
from mcppool.pipeline.tracing.operations import Operations
from mcppool.spec.sections.tracing import TracingSpec


class PoolTracing:
    """Traces calls and attempts of a pool, and counts the durations of calls, attempts and sessions."""

    def __init__(self, spec: TracingSpec, metrics: PoolMetrics, begin: Begin, serve: Serve, exchange: Exchange) -> None:
        self.spec = spec
        self._metrics = metrics
        self._sender, settings = senders.take(spec)
        self.durations = metrics.durations = metrics.durations or PoolDurations(metrics.name)
        self._sender.follow(self.durations)
        self.call_durations = CallDurations(metrics, self.durations)
        operations = Operations(metrics.name)
        spans = CallSpans(metrics, self._send)
        self.exchange = TracedExchange(exchange, operations, spans.end, self._send)
        self.calls = TracedCalls(begin, serve, operations, settings.sampler, spans)

    def close(self, *, wait: bool = True) -> None:
        """Send what waits; with `wait`, before it returns."""
        self._sender.leave(self.durations)
        senders.give_back(self.spec, wait=wait)

    def session_over(self, session: Session, unused: float) -> None:
        """A client's session has ended, or was not used for `unused` seconds and counts as ended since."""
        ended = time() - unused
        key = SessionKey(session.claims.version)
        self.durations.server_sessions.of(key).observe(max(0.0, ended - session.claims.issued))
        self.durations.client_sessions.of(key).observe(max(0.0, ended - session.homed_at))

    def _send(self, span: Span) -> None:
        if self._sender.add(span):
            self._metrics.spans += 1
        else:
            self._metrics.spans_dropped += 1
