"""Server-sent events, taken apart without changing a byte.

A relay passes on `Event.raw` and looks into `Event.data`. All raw bytes in order, and then `EventParser.pending`, are
what was fed, however it was cut into chunks (HTML Living Standard, "Server-sent events", for the format).
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

DEFAULT_MAX_EVENT: Final = 64 * 1024 * 1024
"""Bytes of one event, terminator included. SDK clients take 1 MiB, but that is their business."""

_BOM: Final = b"\xef\xbb\xbf"


class EventTooLarge(Exception):
    """An event is longer than the limit; nothing more can be read from this stream.

    `events` are those that the same chunk completed before it.
    """

    def __init__(self, limit: int, events: list[Event]) -> None:
        super().__init__(f"an event of the stream is longer than {limit} bytes")
        self.limit = limit
        self.events = events


class Event(Struct, frozen=True, gc=False):
    """One block of a stream, up to and with the empty line that ends it."""

    raw: bytes
    event: str
    """The event's type; ``message`` where none is given."""
    data: bytes | None
    """The data lines joined by LF; None where there are none (a comment, a lone ``retry``), empty for a priming
    event."""
    id: str | None
    retry: int | None
    """Milliseconds that a client should wait before it reconnects."""


class EventParser:
    """Splits one stream into events as its bytes come; time is linear in them, however they are cut."""

    __slots__ = ("_buffer", "_first", "_line", "_max_event", "_searched")

    def __init__(self, max_event: int = DEFAULT_MAX_EVENT) -> None:
        self._max_event = max_event
        self._buffer = bytearray()
        self._line = 0  # where the line begins whose end has not come yet
        self._searched = 0  # up to here there is no end of that line
        self._first = True

    @property
    def pending(self) -> bytes:
        """What was fed and belongs to no event yet. At the end of a stream a client ignores it."""
        return bytes(self._buffer)

    @property
    def held(self) -> int:
        """How many bytes that is."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises EventTooLarge; the parser must not be used any more then.

        A CR at the end of a chunk ends its line only when the next byte shows whether an LF belongs to it, or at
        `finish`. Servers that end lines with LF or CRLF are not delayed by this.
        """
        self._buffer += chunk
        return self._split(final=False)

    def finish(self) -> list[Event]:
        """The last event, where the stream ended with a CR; nothing for any other stream."""
        return self._split(final=True)

    def _split(self, final: bool) -> list[Event]:
        buffer = self._buffer
        size = len(buffer)
        events: list[Event] = []
        start = 0
        lf = buffer.find(b"\n", self._searched)
        while True:
            if 0 <= lf < self._searched:
                lf = buffer.find(b"\n", self._searched)
            end = size if lf < 0 else lf
            cr = buffer.find(b"\r", self._searched, end)
            if cr >= 0:
                if cr + 1 == size and not final:
                    self._searched = cr
                    break
                end = cr
                after = cr + 2 if buffer.startswith(b"\n", cr + 1) else cr + 1
            elif lf >= 0:
                after = lf + 1
            else:
                self._searched = size
                break
            empty = end == self._line or (self._first and start == 0 == self._line and buffer[:end] == _BOM)
            self._line = self._searched = after
            if empty:
                if after - start > self._max_event:
                    raise EventTooLarge(self._max_event, events)
                raw = bytes(buffer[start:after])
                events.append(_read(raw.removeprefix(_BOM) if self._first else raw, raw))
                self._first = False
                start = after
        if start:
            del buffer[:start]
            self._line -= start
            self._searched -= start
        if len(buffer) > self._max_event:
            raise EventTooLarge(self._max_event, events)
        return events


def _read(block: bytes, raw: bytes) -> Event:
    name = "message"
    data: list[bytes] = []
    id: str | None = None
    retry: int | None = None
    # Not splitlines on text: only CR, LF and CRLF end a line here, which is what bytes.splitlines knows.
    for line in block.splitlines():
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            data.append(value)
        elif field == b"event":
            name = value.decode("utf-8", "replace") or "message"
        elif field == b"id":
            if b"\0" not in value:
                id = value.decode("utf-8", "replace")
        elif field == b"retry" and value.isdigit() and len(value) <= 18:
            retry = int(value)
    return Event(raw, name, b"\n".join(data) if data else None, id, retry)


def render(data: bytes, event: str = "message") -> bytes:
    """One event of our own; `data` must hold no CR or LF, as JSON that we encode never does."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)
