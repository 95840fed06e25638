"""Bytes that clients have sent and that the event loop has not read yet."""

from __future__ import annotations

import select
from collections.abc import Iterable

from mcppool.gateway.http.connection import HttpConnection


def without_unread(connections: Iterable[HttpConnection]) -> list[HttpConnection]:
    """The connections on which nothing waits to be read.

    A connection that is closed while a request waits there is reset, and its client cannot know that nobody has read
    the request. On a busy machine the loop may be seconds late.
    """
    poll = select.poll()
    by_descriptor = [(connection.descriptor, connection) for connection in connections]
    for descriptor, _ in by_descriptor:
        if descriptor >= 0:
            poll.register(descriptor, select.POLLIN)
    waiting = {descriptor for descriptor, _ in poll.poll(0)}
    return [connection for descriptor, connection in by_descriptor if descriptor not in waiting]
