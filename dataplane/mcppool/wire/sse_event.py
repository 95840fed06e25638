"""One block of an event stream."""

from __future__ import annotations

from msgspec import Struct


class Event(Struct, frozen=True, gc=False):
    """One block of a stream, up to and including the empty line that ends it."""

    raw: bytes
    event: str
    """The event's type; ``message`` if none is given."""
    data: bytes | None
    """The data lines joined by LF; None if there are none (a comment, a lone ``retry``), empty for a priming event."""
    id: str | None
    retry: int | None
    """Milliseconds that a client should wait before it reconnects."""
    unread: bool = False
    """Whether it is to be read with `read_large`. Only `raw` is known then."""
