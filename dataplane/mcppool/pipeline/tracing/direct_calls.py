"""The spans of a sampled call that runs without a task (decision 0026)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from mcppool.observe.tracing.span import Span, current
from mcppool.pipeline.call import Call
from mcppool.pipeline.direct_attempt import DirectAttempt, Steps
from mcppool.pipeline.outcome import Outcome
from mcppool.upstream.http.response import Response

EndCall = Callable[[Span, Call, Outcome], None]
"""Ends the span of a call by its outcome."""
EndAttempt = Callable[[Span, Outcome], None]
"""Ends the span of an answered attempt."""


class DirectTrace:
    """The `Steps` of a call and its first attempt, which end the spans of both.

    The call has no task, and so no context of its own: its span is the current one only while the call ends, or once it
    has a task.
    """

    __slots__ = ("_call", "_end_attempt", "_end_call", "_steps", "attempt")

    def __init__(self, call: Span, attempt: Span, steps: Steps, end_call: EndCall, end_attempt: EndAttempt) -> None:
        self.attempt = attempt
        self._call = call
        self._steps = steps
        self._end_call = end_call
        self._end_attempt = end_attempt

    def answered(self, attempt: DirectAttempt) -> None:
        """See `Steps`."""
        self._end_attempt(self.attempt, attempt.outcome)
        token = current.set(self._call)
        try:
            self._steps.answered(attempt)
        finally:
            current.reset(token)
            self._end_call(self._call, attempt.call, attempt.outcome)

    async def go_on(self, attempt: DirectAttempt, answer: asyncio.Future[Response]) -> object:
        """See `Steps`."""
        token = current.set(self._call)
        try:
            return await self._steps.go_on(attempt, answer)
        finally:
            current.reset(token)
            if not self.attempt.end:  # the call was cancelled before its task began, or tracing has ended meanwhile
                self._end_attempt(self.attempt, attempt.outcome)
            self._end_call(self._call, attempt.call, attempt.outcome)
