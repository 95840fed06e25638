"""Takes an answer for a task that awaits it."""

from __future__ import annotations

import asyncio

from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http.response import Response


class AwaitedAnswer:
    """Pass it to `Connection.request` and await `future`, which raises AttemptFailed if there is no answer."""

    __slots__ = ("future",)

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.future: asyncio.Future[Response] = loop.create_future()

    def answered(self, response: Response) -> None:
        """The answer has come."""
        if not self.future.done():
            self.future.set_result(response)

    def went_on(self) -> None:
        """A task reads the rest of a stream from its response, and follows none."""

    def failed(self, failure: AttemptFailed) -> None:
        """There is no answer."""
        if not self.future.done():
            self.future.set_exception(failure)
            self.future.exception()  # retrieved: the task may be cancelled before it awaits the future
