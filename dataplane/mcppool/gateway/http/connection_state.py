"""The states of a client's connection, and the time that a connection may stay in each.

```
IDLE → READING_HEAD → READING_BODY → SERVING → (FLUSHING →) (AWAITING_TURN →) IDLE
                                     SERVING → (ENDING →) CLOSING → CLOSED
```

States in brackets may be left out. A malformed request leads to LINGERING. Every state may lead to CLOSED.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

NEVER: Final = float("inf")
IDLE_TIMEOUT: Final = 75.0
"""Seconds in which an idle connection must bring a request."""
HEAD_TIMEOUT: Final = 10.0
"""Seconds from the first byte of a request to the end of its head."""
BODY_TIMEOUT: Final = 60.0
"""Seconds from the end of a head to the end of the body, or to the next `MIN_RECEIVED` bytes of it."""
MIN_RECEIVED: Final = 1 << 20
"""Bytes of a body that a client must send within `BODY_TIMEOUT`."""
WRITE_TIMEOUT: Final = 60.0
"""Seconds in which a client must take a part of a waiting response: see `send_buffer.MIN_TAKEN`."""
LINGER_TIMEOUT: Final = 2.0
"""Seconds in which the sender of a malformed request may read the error, before the connection is closed."""


class ClientConnectionState(Enum):
    """One state of a connection. `timeout` is the upper bound on the seconds in it; None keeps the deadline."""

    IDLE = "idle"
    """It waits for a request."""
    READING_HEAD = "reading head"
    READING_BODY = "reading body"
    SERVING = "serving"
    """A call is in flight. The call has timeouts of its own; the deadline here is that of the next keep-alive comment,
    or of a client that does not take the response."""
    ENDING = "ending"
    """The gateway has cancelled the call; its handler still has to write the final reply."""
    FLUSHING = "flushing"
    """The call is over, and the client has not taken all of the response."""
    AWAITING_TURN = "awaiting turn"
    """More bytes have come, and other connections read theirs first."""
    LINGERING = "lingering"
    """A malformed request was refused, and its sender may read the error."""
    CLOSING = "closing"
    """The connection closes when the client has taken all written bytes."""
    CLOSED = "closed"
    """The client is gone. A call that outlives its client may go on."""

    timeout: float | None


# For the hot path: an attribute of an enumeration costs ten times as much as a name.
IDLE: Final = ClientConnectionState.IDLE
READING_HEAD: Final = ClientConnectionState.READING_HEAD
READING_BODY: Final = ClientConnectionState.READING_BODY
SERVING: Final = ClientConnectionState.SERVING
ENDING: Final = ClientConnectionState.ENDING
FLUSHING: Final = ClientConnectionState.FLUSHING
AWAITING_TURN: Final = ClientConnectionState.AWAITING_TURN
LINGERING: Final = ClientConnectionState.LINGERING
CLOSING: Final = ClientConnectionState.CLOSING
CLOSED: Final = ClientConnectionState.CLOSED

IDLE.timeout = IDLE_TIMEOUT
READING_HEAD.timeout = HEAD_TIMEOUT
READING_BODY.timeout = BODY_TIMEOUT
SERVING.timeout = NEVER
ENDING.timeout = None
FLUSHING.timeout = WRITE_TIMEOUT
AWAITING_TURN.timeout = NEVER
LINGERING.timeout = LINGER_TIMEOUT
CLOSING.timeout = WRITE_TIMEOUT
CLOSED.timeout = NEVER


class CallLifetime(Enum):
    """When the gateway ends a call that has not finished."""

    WITH_CLIENT = "with client"
    """When its client disconnects."""
    OUTLIVES_CLIENT = "outlives client"
    """When the drain time is over; the call goes on without its client."""
    UNTIL_DRAIN = "until drain"
    """When its client disconnects, or as soon as a drain begins: it does not finish by itself."""


WITH_CLIENT: Final = CallLifetime.WITH_CLIENT
OUTLIVES_CLIENT: Final = CallLifetime.OUTLIVES_CLIENT
UNTIL_DRAIN: Final = CallLifetime.UNTIL_DRAIN
