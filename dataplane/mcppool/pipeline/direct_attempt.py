"""The first attempt of a call that runs in the callbacks of its connections, without a task (decision 0026).

Most calls wait once: for the answer to their first attempt. Such a call is begun as its request arrives, and ended as
its answer arrives. In all other cases (the attempt fails, its answer comes in parts, the call is cancelled) the rest of
the call is a coroutine, as it is for calls that are not begun this way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, Protocol

from mcppool.pipeline.admission.limits import Admitted
from mcppool.pipeline.attempt import Attempt, ResponseContext
from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.exchange import relay_at_once
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.peers import Limiter
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.request_id import ReissuedRequest
from mcppool.pipeline.response.event_relay import LINGER
from mcppool.pipeline.response.single_event import relay_single_event
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import Response
from mcppool.wire.media_types import EVENT_STREAM

Rest = Coroutine[Any, Any, object]
"""The rest of a call."""

NO_HOME: Final = ("", "")


class Downstream(Protocol):
    """The connection of the client, which serves one call at a time."""

    def under_way(self, attempt: DirectAttempt) -> None:
        """The call has begun, and has no task."""

    def go_on(self, rest: Rest, call: Call, outcome: Outcome) -> None:
        """Run the rest of the call in a task."""

    def call_ended(self) -> None:
        """The call is over."""


class Steps(Protocol):
    """The steps of a call around its attempts."""

    def answered(self, attempt: DirectAttempt) -> None:
        """The client has its answer: end the attempt and the call."""

    def go_on(self, attempt: DirectAttempt, answer: asyncio.Future[Response]) -> Rest:
        """The steps from the answer to this attempt on."""


class DirectAttempt(Attempt):
    """An attempt that takes its answer in a callback. `home` is the endpoint where the session of its call lived when
    the request was sent. `admitted` is what its call holds of the pool's limits, None if the pool has none."""

    __slots__ = ("_answer", "_downstream", "_relayed", "admitted", "home", "steps")

    def __init__(
        self,
        context: ResponseContext,
        call: Call,
        plan: Plan,
        endpoint: Endpoint,
        reply: Reply,
        outcome: Outcome,
        reissue: ReissuedRequest | None,
        started: float,
        connection: Connection,
        steps: Steps,
        downstream: Downstream,
        admitted: Admitted | None,
    ) -> None:
        Attempt.__init__(self, context, call, plan, endpoint, reply, outcome, reissue, started)
        self.connection = connection
        self.home = NO_HOME
        self.admitted = admitted
        self.steps = steps
        self._downstream = downstream
        self._relayed: Response | None = None  # a stream with the answer, whose end has not come
        self._answer: asyncio.Future[Response] | None = None  # awaited by the rest of the call

    @property
    def place(self) -> Limiter | None:
        """Its place at the endpoint, None if that has no limit."""
        return None if self.admitted is None else self.admitted.place

    def answered(self, response: Response) -> None:
        """Pass on an answer, and end the call if that was all of it."""
        if self._answer is not None:
            if not self._answer.done():
                self._answer.set_result(response)
            return
        try:
            relayed = relay_at_once(self, response) if response.whole else self._relay_event(response)
        except Exception as failure:
            self._go_on().set_exception(failure)
            return
        if not relayed:
            self._go_on().set_result(response)
        elif response.complete:
            self._end()
        else:
            self._relayed = response
            response.follower = self
            response.end_within(LINGER)

    def went_on(self) -> None:
        """The stream behind the answer has ended, or has brought something else: the client has its answer."""
        self._relayed = None
        self.reply.end()
        self._end()

    def failed(self, failure: AttemptFailed) -> None:
        """The attempt has failed: there may be another one."""
        if self._answer is None:
            self._go_on().set_exception(failure)
        elif not self._answer.done():
            self._answer.set_exception(failure)

    def go_on(self) -> None:
        """Run the rest of the call in a task, which can be cancelled. If the client has its answer, end the call."""
        if self._relayed is not None:
            self._relayed.follower = None
            self.went_on()
        elif self._answer is None:
            self._go_on()

    def _relay_event(self, response: Response) -> bool:
        """Pass on the only event of a stream, which has not ended; returns False if a reader of events has to."""
        chunks = response.chunks
        if response.content_type != EVENT_STREAM or len(chunks) != 1:
            return False
        if not relay_single_event(self, response, chunks[0]):
            return False
        response.take()
        return True

    def _go_on(self) -> asyncio.Future[Response]:
        """Run the rest of the call in a task; returns the future of the answer that it awaits."""
        assert self.connection is not None
        self._answer = answer = self.connection.loop.create_future()
        self._downstream.go_on(self.steps.go_on(self, answer), self.call, self.outcome)
        return answer

    def _end(self) -> None:
        try:
            self.steps.answered(self)
        finally:
            self._downstream.call_ended()
