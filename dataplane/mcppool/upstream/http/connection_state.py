"""The states of a connection to an endpoint."""

from __future__ import annotations

from enum import IntEnum


class ConnectionState(IntEnum):
    """The step of its exchange that a connection is in, or its end.

    The order matters: from `CLOSING` on nothing can be written, from `CLOSED` on the transport is gone, and after
    `CLOSED` come the ends that the server or the network caused.
    """

    IDLE = 0
    """It carries no exchange."""
    WAITING = 1
    """A request is written; its answer has not come, or is held until it is whole."""
    STREAMING = 2
    """The answer is handed over part by part."""
    ANSWERED = 3
    """The answer is complete, and the server keeps the connection."""
    SPENT = 4
    """The answer is complete, and the connection cannot carry another exchange."""
    CLOSING = 5
    """This process closes it."""
    CLOSED = 6
    """This process has closed it."""
    ENDED = 7
    """The server closed it."""
    CUT = 8
    """It broke during an exchange, before the whole answer had come."""
