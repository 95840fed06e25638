"""Server-sent events, split without changing a byte.

A relay passes on `Event.raw` and looks into `Event.data`. All raw bytes in order, followed by `EventParser.pending`,
equal the input without its byte order mark, however it was divided into chunks (HTML Living Standard, "Server-sent
events", for the format). Clients skip that mark only at the beginning of a stream, where the gateway may have written
something else.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from typing import Final

from mcppool.wire.bulk import BULK, Bulk, finish, read_in_slices
from mcppool.wire.sse_event import Event

DEFAULT_MAX_EVENT: Final = 64 * 1024 * 1024
"""Bytes of one event, terminator included. SDK clients accept 1 MiB, but that is their concern."""

LARGE_EVENT: Final = 256 * 1024
"""Bytes of an event above which it is read in steps."""
STEP: Final = 32 * 1024
"""Bytes that are examined in one step: some milliseconds if every two of them are a line."""

PIECE: Final = 4 * 1024
"""Bytes of a stream that are parsed at once: each of them may end an event."""
MAX_FIELD: Final = 32 * 1024
"""Bytes of a line of a large event above which it is skipped, unless it is data."""

ONE_LINE: Final = bytes.maketrans(b"\r\n", b"  ")
"""Makes JSON one line, for `data:`: in JSON, CR and LF are white space between members, never part of a string."""

_BOM: Final = b"\xef\xbb\xbf"


class EventTooLarge(Exception):
    """An event is longer than the limit; this stream cannot be read any further.

    `events` are those that the same chunk completed before it.
    """

    def __init__(self, limit: int, events: list[Event]) -> None:
        super().__init__(f"an event of the stream is longer than {limit} bytes")
        self.limit = limit
        self.events = events


class EventParser:
    """Splits one stream into events as its bytes come, in linear time, however they are divided.

    `in_steps` leaves events of more than `LARGE_EVENT` bytes to the caller, to read with `read_large`.
    """

    __slots__ = ("_begun", "_buffer", "_in_steps", "_line", "_max_event", "_searched")

    def __init__(self, max_event: int = DEFAULT_MAX_EVENT, *, in_steps: bool = False) -> None:
        self._max_event = max_event
        self._in_steps = in_steps
        self._buffer = Bulk()
        self._line = 0  # the beginning of the unfinished line
        self._searched = 0  # no end of that line up to here
        self._begun = False  # what may be a byte order mark is no longer awaited

    @property
    def pending(self) -> bytes:
        """Input bytes that belong to no event yet. At the end of a stream a client ignores them."""
        return bytes(self._buffer)

    @property
    def held(self) -> int:
        """Number of pending bytes."""
        return len(self._buffer)

    def feed(self, chunk: bytes) -> list[Event]:
        """The events that `chunk` completes. Raises EventTooLarge; the parser must not be used after that.

        A CR at the end of a chunk ends its line only when the next byte shows whether an LF belongs to it, or at
        `finish`. Servers that end lines with LF or CRLF are not delayed by this.
        """
        self._buffer.extend(chunk)
        if not self._begun:
            self._begin()
        return self._split(final=False)

    def _begin(self) -> None:
        """Skip the byte order mark, once it has come."""
        buffer = self._buffer
        self._begun = len(buffer) >= len(_BOM) or not _BOM.startswith(buffer)
        if self._begun and buffer.startswith(_BOM):
            del buffer[: len(_BOM)]
            self._searched = 0

    def feed_in_steps(self, chunk: bytes) -> Iterator[list[Event]]:
        """The events of `feed`, in pieces of `PIECE` bytes and the rest of a line, after about `STEP` bytes: other work
        should run between two of them."""
        size = len(chunk)
        if size <= PIECE:
            yield self.feed(chunk)
            return
        at = since = 0
        while at < size:
            stop = first_line_end(chunk, at + PIECE)  # a long line in one piece: nothing in it ends an event
            events = self.feed(chunk[at:stop])
            since += stop - at
            at = stop
            if events or since >= STEP or at == size:
                since = 0
                yield events

    def drop_pending(self) -> None:
        """Forget the pending bytes: another reader goes on with the event, whose end it gives back."""
        self._buffer = Bulk()
        self._line = self._searched = 0

    def finish(self) -> list[Event]:
        """The last event, if the stream ended with a CR; nothing for any other stream."""
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
            empty = end == self._line
            self._line = self._searched = after
            if empty:
                if after - start > self._max_event:
                    raise EventTooLarge(self._max_event, events)
                if after - start > LARGE_EVENT and not start:
                    buffer = self._hand_out(events, after)
                    size = len(buffer)
                    lf = buffer.find(b"\n")
                    continue
                raw = bytes(buffer[start:after])
                events.append(_read(raw, raw))
                start = after
        if start:
            del buffer[:start]
            self._line -= start
            self._searched -= start
        if len(buffer) > self._max_event:
            raise EventTooLarge(self._max_event, events)
        return events

    def _hand_out(self, events: list[Event], end: int) -> Bulk:
        """The buffer begins with a large event up to `end`: hand it out without a copy, and continue with the rest."""
        raw = self._buffer
        self._buffer = rest = Bulk(raw[end:])
        del raw[end:]
        event = Event(raw, "message", None, None, None, unread=True)
        events.append(event if self._in_steps else finish(read_large(event)))
        self._line = self._searched = 0
        return rest


def first_line_end(part: bytes, at: int) -> int:
    """The place of the first line end from `at` on; the size of the part if there is none."""
    lf = part.find(b"\n", at)
    cr = part.find(b"\r", at, len(part) if lf < 0 else lf)
    if cr >= 0:
        return cr
    return len(part) if lf < 0 else lf


class _LargeEvent:
    """The reading of one large event: the `data` of its lines, and the last `others` of each field."""

    def __init__(self) -> None:
        self.data: Bulk | None = None
        self.others: dict[bytes, bytes] = {}
        self._rest = b""  # the beginning of a line
        self._inside: bool | None = None  # in a long line: whether it is data

    def take(self, piece: bytes) -> None:
        """Read more of the event; the part does not end between CR and LF."""
        for line in (self._rest + piece).splitlines(keepends=True):
            self._rest = b""
            text = line.rstrip(b"\r\n")
            if self._inside is not None:
                if self._inside and self.data is not None:
                    self.data.extend(text)
                if len(text) < len(line):
                    self._inside = None
            elif len(text) < len(line):
                self._whole(text)
            elif text.startswith(b"data:") and len(text) > len(b"data: "):
                self._add(text)
                self._inside = True
            elif len(text) > MAX_FIELD:
                self._inside = False  # no id or name of an event is that long
            else:
                self._rest = text

    def _whole(self, line: bytes) -> None:
        field = line[:MAX_FIELD].partition(b":")[0]
        if field == b"data":
            self._add(line)
        elif field in (b"event", b"id", b"retry") and len(line) <= MAX_FIELD:
            self.others[field] = line

    def _add(self, line: bytes) -> None:
        if self.data is None:
            self.data = Bulk()
        else:
            self.data.extend(b"\n")
        self.data.extend(line[5:].removeprefix(b" "))


def read_large(event: Event) -> Generator[None, None, Event]:
    """Read an event that the parser has not read, in steps of some milliseconds. Data of more than `BULK` bytes then
    has its outline."""
    raw, at = event.raw, 0
    reading = _LargeEvent()
    while at < len(raw):
        end = at + STEP
        if raw[end - 1 : end + 1] == b"\r\n":
            end += 1
        reading.take(bytes(raw[at:end]))
        at = end
        yield
    fields = _read(b"\n".join(reading.others.values()), raw)
    data: bytes | None = reading.data
    if reading.data is not None and len(reading.data) > BULK:
        yield from read_in_slices(reading.data)
    elif data is not None:
        data = bytes(data)
    return Event(raw, fields.event, data, fields.id, fields.retry)


def _read(block: bytes, raw: bytes) -> Event:
    name = "message"
    data: list[bytes] = []
    id: str | None = None
    retry: int | None = None
    # Not splitlines on text: only CR, LF and CRLF end a line here, as in bytes.splitlines.
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
    """One event of the gateway; `data` must not hold CR or LF, which encoded JSON never does."""
    return b"event: %b\ndata: %b\n\n" % (event.encode(), data)
