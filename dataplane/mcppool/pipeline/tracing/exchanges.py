"""The span of an attempt, around its exchange with an endpoint."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from time import time_ns
from typing import Any

from mcppool.observe.tracing.span import MAX_TEXT, Span, current
from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.direct_attempt import DirectAttempt
from mcppool.pipeline.exchange import Exchange
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.tracing.context import put_context, put_context_at_once
from mcppool.pipeline.tracing.conventions import LISTEN, client_error, failed_error, own_client_attributes
from mcppool.pipeline.tracing.direct_calls import DirectTrace, EndCall
from mcppool.pipeline.tracing.operations import Operations
from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import Response


class TracedExchange:
    """Traces the attempts of one pool. `end_call` ends the span of a call."""

    def __init__(
        self, exchange: Exchange, operations: Operations, end_call: EndCall, send: Callable[[Span], None]
    ) -> None:
        self._exchange = exchange
        self._operations = operations
        self._end_call = end_call
        self._send = send

    def run(self, attempt: Attempt, answer: asyncio.Future[Response] | None = None) -> Coroutine[Any, Any, None]:
        """See `Exchange.run`. An attempt of a call that is not sampled runs as without tracing."""
        call = current.get()
        if call is None or attempt.call.request.method == LISTEN:
            return self._exchange.run(attempt, answer)
        if answer is None:
            return self._traced(attempt, call)
        trace = attempt.steps if isinstance(attempt, DirectAttempt) else None
        if isinstance(trace, DirectTrace):
            return self._run(attempt, trace.attempt, answer)
        return self._exchange.run(attempt, answer)

    def begin(self, attempt: DirectAttempt, connection: Connection, call: Span) -> None:
        """See `Exchange.begin`: the first attempt of a sampled call without a task."""
        span = self._span(attempt, call)
        attempt.steps = DirectTrace(call, span, attempt.steps, self._end_call, self._answered)
        plan = attempt.plan
        body, forward = plan.body, plan.forward
        put_context_at_once(attempt, span)
        self._exchange.begin(attempt, attempt, connection)
        plan.body, plan.forward = body, forward  # other attempts carry other contexts

    async def _traced(self, attempt: Attempt, call: Span) -> None:
        span = self._span(attempt, call)
        plan = await put_context(attempt, span)
        try:
            await self._run(attempt, span, None)
        finally:
            attempt.plan = plan

    async def _run(self, attempt: Attempt, span: Span, answer: asyncio.Future[Response] | None) -> None:
        try:
            await self._exchange.run(attempt, answer)
        except BaseException as failure:
            span.error = failed_error(failure)
            if isinstance(failure, AttemptFailed):
                span.message = failure.detail[:MAX_TEXT]
            self._end(span)
            raise
        self._answered(span, attempt.outcome)

    def _span(self, attempt: Attempt, call: Span) -> Span:
        """The span of an attempt that begins now; `call` is the span of its call."""
        request = attempt.call.request
        attributes = own_client_attributes(attempt.call, request.id if attempt.reissue is None else attempt.reissue.id)
        attributes["mcppool.attempt"] = attempt.outcome.attempts
        operation = self._operations.of_attempt(attempt.call, attempt.endpoint)
        return Span(operation, call.trace_id, attributes, call.span_id, False, call.state)

    def _answered(self, span: Span, outcome: Outcome) -> None:
        """End the span of an attempt that has its answer."""
        span.error = client_error(outcome) or None
        if span.error is not None and span.error.startswith("-"):
            span.attributes["rpc.response.status_code"] = span.error
        if outcome.cut is not None:
            span.message = outcome.cut.detail[:MAX_TEXT]
        self._end(span)

    def _end(self, span: Span) -> None:
        span.end = time_ns()
        self._send(span)
