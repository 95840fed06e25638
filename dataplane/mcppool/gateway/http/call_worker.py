"""The task that runs the calls of one connection, one after another (decision 0009)."""

from __future__ import annotations

import asyncio
import traceback
from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

from mcppool.gateway.http.connection_state import CLOSED, ClientConnectionState
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.listener_context import log
from mcppool.gateway.http.response_writer import ResponseWriter
from mcppool.wire.errors import INTERNAL_ERROR, error_body


class Served(Protocol):
    """The connection that a call came on."""

    state: ClientConnectionState
    response: ResponseWriter

    def call_ended(self) -> None:
        """The call is over."""


C = TypeVar("C", bound=Served)


class CallWorker(Generic[C]):
    """Calls `handler` for each request. `task` is None before the first one and after a call was cancelled."""

    __slots__ = ("_connection", "_handler", "_loop", "_next", "task")

    def __init__(
        self, loop: asyncio.AbstractEventLoop, handler: Callable[[HttpRequest, C], Awaitable[None]], connection: C
    ) -> None:
        self._loop = loop
        self._handler = handler
        self._connection = connection
        self._next: asyncio.Future[HttpRequest] | None = None  # awaited between two calls
        self.task: asyncio.Task[None] | None = None

    def serve(self, request: HttpRequest) -> None:
        """Begin the call of a request."""
        if self._next is not None:
            self._next.set_result(request)
        else:
            self.task = self._loop.create_task(self._work(request))

    async def _work(self, request: HttpRequest | None) -> None:
        """Serve call after call, until the connection closes."""
        connection = self._connection
        response = connection.response
        while True:
            assert request is not None
            try:
                await self._handler(request, connection)
            except Exception as error:  # a defect of the gateway must not end the connection's other calls
                log.error("defect", exception="".join(traceback.format_exception(error)))
                if response.replied:
                    response.abort()
                else:
                    response.error(500, error_body(None, INTERNAL_ERROR, "A defect in the gateway"))
            except asyncio.CancelledError:
                self._next = None
                self.task = None  # its exception holds the frames of the call: break the cycle
                if request.held is not None:
                    request.held.release()
                connection.call_ended()
                raise
            if request.held is not None:
                request.held.release()
            request = None  # while the connection is idle, nothing of its last call stays in memory
            self._next = self._loop.create_future()
            connection.call_ended()
            if connection.state is CLOSED:
                return
            request = await self._next
