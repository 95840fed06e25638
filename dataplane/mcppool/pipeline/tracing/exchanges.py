"""The span and the duration of an attempt, around its exchange with an endpoint."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from time import time_ns
from typing import Any

from mcppool.observe.metrics import PoolMetrics
from mcppool.observe.tracing.span import MAX_TEXT, Span, current
from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.exchange import Exchange
from mcppool.pipeline.tracing.context import put_context
from mcppool.pipeline.tracing.conventions import (
    LISTEN,
    client_attributes,
    client_error,
    failed_error,
)
from mcppool.upstream.failures import AttemptFailed


class TracedExchange:
    """Traces the attempts of one pool."""

    def __init__(self, exchange: Exchange, metrics: PoolMetrics, send: Callable[[Span], None]) -> None:
        self._exchange = exchange
        self._metrics = metrics
        self._send = send

    def run(self, attempt: Attempt) -> Coroutine[Any, Any, None]:
        """See `Exchange.run`. An attempt of a call that is not sampled runs as without tracing."""
        server = current.get()
        if server is None or attempt.call.request.method == LISTEN:
            return self._exchange.run(attempt)
        return self._traced(attempt, server)

    async def _traced(self, attempt: Attempt, server: Span) -> None:
        call, outcome = attempt.call, attempt.outcome
        id = call.request.id if attempt.reissue is None else attempt.reissue.id
        attributes = client_attributes(call, server.attributes, attempt.endpoint, id)
        span = Span(server.name, "client", server.trace_id, attributes, server.span_id, False, server.state)
        span.attributes["mcppool.attempt"] = outcome.attempts
        plan = await put_context(attempt, span)
        try:
            await self._exchange.run(attempt)
        except BaseException as failure:
            span.error = failed_error(failure)
            if isinstance(failure, AttemptFailed):
                span.message = failure.detail[:MAX_TEXT]
            raise
        else:
            span.error = client_error(outcome) or None
            if span.error is not None and span.error.startswith("-"):
                span.attributes["rpc.response.status_code"] = span.error
            if outcome.cut is not None:
                span.message = outcome.cut.detail[:MAX_TEXT]
        finally:
            attempt.plan = plan
            span.end = time_ns()
            self._send(span)
