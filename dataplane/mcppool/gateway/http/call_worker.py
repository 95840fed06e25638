"""Runs the calls of one connection, one after another.

A call that has begun without a task needs none here (decision 0026). All others run in one task (decision 0009).
"""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Callable, Coroutine
from typing import Any, Final, Generic, Protocol, TypeVar

from mcppool.gateway.http.connection_state import CLOSED, ClientConnectionState
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.listener_context import log
from mcppool.gateway.http.response_writer import ResponseWriter
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.wire.errors import INTERNAL_ERROR, error_body

Rest = Coroutine[Any, Any, object]
"""The rest of a call."""


class Served(Protocol):
    """The connection that a call came on."""

    state: ClientConnectionState
    response: ResponseWriter

    def call_ended(self) -> None:
        """The call is over."""


class Direct(Protocol):
    """A call under way without a task."""

    def go_on(self) -> None:
        """Run the rest of it in a task: it calls `CallWorker.go_on`, or ends the call."""


IDLE: Final = 0
STARTING: Final = 1
"""The task has a call that it has not begun."""
RUNNING: Final = 2

C = TypeVar("C", bound=Served)
Handler = Callable[[HttpRequest, C], Rest | None]
"""Begins the call of a request. It returns the rest of the call, or None if that is under way without a task."""


class CallWorker(Generic[C]):
    """Calls `handler` for each request. `task` is None until a call needs one, and after a call was cancelled.

    A handler that begins calls without a task sets `guard`: it gives the rest of a call its last reply at a shutdown.
    """

    __slots__ = ("_connection", "_direct", "_handler", "_loop", "_next", "_phase", "_request", "guard", "task")

    def __init__(self, loop: asyncio.AbstractEventLoop, handler: Handler[C], connection: C) -> None:
        self._loop = loop
        self._handler = handler
        self._connection = connection
        self._direct: Direct | None = None
        self._request: HttpRequest | None = None  # of the call that the task runs
        self._next: asyncio.Future[Rest] | None = None  # awaited between two calls
        self._phase = IDLE  # of the task
        self.guard: Callable[[Rest, Call, Outcome, C], Rest] | None = None
        self.task: asyncio.Task[None] | None = None

    @property
    def calling(self) -> bool:
        """Whether there is a call."""
        return self._phase != IDLE or self._direct is not None

    def serve(self, request: HttpRequest) -> None:
        """Begin the call of a request."""
        try:
            rest = self._handler(request, self._connection)
        except Exception as error:
            self._direct = None
            rest = _failed(error)
        if rest is not None:
            self._request = request
            self._run(rest)

    # --- a call without a task -----------------------------------------------------------------------------------

    def under_way(self, direct: Direct) -> None:
        """The call has begun, and has no task."""
        self._direct = direct

    def call_ended(self) -> None:
        """The call is over, and had no task."""
        self._direct = None
        self._connection.call_ended()

    # --- a call with a task --------------------------------------------------------------------------------------

    def go_on(self, rest: Rest, call: Call, outcome: Outcome) -> None:
        """Run the rest of a call in the task, which had none until now."""
        self._direct = None
        assert self.guard is not None
        self._run(self.guard(rest, call, outcome, self._connection))

    def take_task(self) -> asyncio.Task[None] | None:
        """The task, which runs the call from now on if there is one."""
        if self._direct is not None:
            self._direct.go_on()
        return self.task

    def cancel(self) -> None:
        """Cancel the call, or end the idle task."""
        direct = self._direct
        task = self.take_task()
        if task is None:
            return
        if self._phase == STARTING:  # first it must begin, because its `finally` blocks release what the call has
            self._loop.call_soon(task.cancel)
        elif direct is None:
            task.cancel()

    def client_gone(self, detached: set[asyncio.Task[None]], *, call_goes_on: bool) -> None:
        """The connection is closed: a call that goes on without its client does so in a task in `detached`; any other
        is cancelled."""
        task = self.take_task()
        if task is None:
            return
        detached.add(task)
        task.add_done_callback(detached.discard)
        if not (call_goes_on and self.calling):
            self.cancel()

    def _run(self, rest: Rest) -> None:
        self._phase = STARTING
        if self._next is not None:
            self._next.set_result(rest)
        else:
            self.task = self._loop.create_task(self._work(rest))

    async def _work(self, rest: Rest | None) -> None:
        """Run call after call, until the connection closes."""
        connection = self._connection
        response = connection.response
        while True:
            assert rest is not None
            self._phase = RUNNING
            try:
                await rest
            except Exception as error:  # a defect of the gateway must not end the connection's other calls
                log.error("defect", exception="".join(traceback.format_exception(error)))
                if response.replied:
                    response.abort()
                else:
                    response.error(500, error_body(None, INTERNAL_ERROR, "A defect in the gateway"))
            except asyncio.CancelledError:
                self._next = None
                self.task = None  # its exception holds the frames of the call: break the cycle
                self._release()
                connection.call_ended()
                raise
            rest = None  # while the connection is idle, nothing of its last call stays in memory
            self._release()
            self._next = self._loop.create_future()
            connection.call_ended()
            if connection.state is CLOSED:
                return
            rest = await self._next

    def _release(self) -> None:
        self._phase = IDLE
        request, self._request = self._request, None
        if request is not None and request.held is not None:
            request.held.release()


async def _failed(error: Exception) -> None:
    raise error
