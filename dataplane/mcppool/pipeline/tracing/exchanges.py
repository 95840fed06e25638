"""The span and the duration of an attempt, around its exchange with an endpoint."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic, time_ns

from mcppool.observe.metrics import KNOWN_METHODS, PoolMetrics
from mcppool.observe.tracing.durations import OperationKey, PoolDurations
from mcppool.observe.tracing.span import MAX_TEXT, Span, current
from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.exchange import Exchange
from mcppool.pipeline.tracing.context import put_context
from mcppool.pipeline.tracing.conventions import (
    LISTEN,
    OTHER,
    client_attributes,
    client_error,
    failed_error,
    span_name,
    version_of,
)
from mcppool.upstream.failures import AttemptFailed


class TracedExchange:
    """Traces the attempts of one pool."""

    def __init__(
        self, exchange: Exchange, metrics: PoolMetrics, durations: PoolDurations, send: Callable[[Span], None]
    ) -> None:
        self._exchange = exchange
        self._metrics = metrics
        self._durations = durations
        self._send = send

    async def run(self, attempt: Attempt) -> None:
        """See `Exchange.run`."""
        method = attempt.call.request.method
        if method is None or method == LISTEN:
            await self._exchange.run(attempt)
            return
        server = current.get()
        error = ""
        began = monotonic()
        try:
            if server is None:
                await self._exchange.run(attempt)
            else:
                await self._traced(attempt, server)
            error = client_error(attempt.outcome)
        except BaseException as failure:
            error = failed_error(failure)
            raise
        finally:
            self._observe(attempt, method, error, monotonic() - began)

    def _observe(self, attempt: Attempt, method: str, error: str, seconds: float) -> None:
        call, tool = attempt.call, attempt.plan.tool or ""
        if tool and tool not in self._metrics.known_tools:
            tool = OTHER
        code = error if error.startswith("-") else ""
        key = OperationKey(method if method in KNOWN_METHODS else OTHER, tool, error, code, version_of(call))
        self._durations.client_operations.observe(key, seconds)

    async def _traced(self, attempt: Attempt, server: Span) -> None:
        call, outcome = attempt.call, attempt.outcome
        id = call.request.id if attempt.reissue is None else attempt.reissue.id
        span = Span(
            span_name(call), "client", server.trace_id,
            client_attributes(call, self._metrics.name, attempt.endpoint, id),
            parent_id=server.span_id, state=server.state,
        )  # fmt: skip
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
