"""Writes the responses of a connection one after another, in the framing of HTTP/1.1 or 1.0."""

from __future__ import annotations

import asyncio
from enum import Enum
from http import HTTPStatus
from time import monotonic
from typing import Final

from mcppool.gateway.http.connection_state import NEVER
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.listener_context import ListenerContext
from mcppool.gateway.http.reader import RequestReader
from mcppool.gateway.http.send_buffer import SendBuffer
from mcppool.wire.media_types import ERROR_HEADERS, EVENT_HEADERS, EVENT_STREAM, JSON
from mcppool.wire.sse import ONE_LINE

COPIED: Final = 16 * 1024
"""Bytes of a body up to which copying it behind its head costs less than giving the transport several parts."""
COMMENT: Final = b": keep-alive\n\n"
_JSON_TYPE: Final = b"content-type: " + JSON
_EVENT_TYPE: Final = b"content-type: " + EVENT_STREAM


_PHRASES: Final = {status.value: status.phrase for status in HTTPStatus}
STATUS_LINES: Final = tuple(f"HTTP/1.1 {status} {_PHRASES.get(status, '')}\r\n".encode() for status in range(1000))
"""Status lines by status: a server may also send one that has no phrase."""


class ResponseState(Enum):
    """The progress of a response."""

    WAITING = "waiting"
    """Nothing is written."""
    OPENED = "opened"
    """The event stream is open and holds comments only: the answer may still come whole or streamed."""
    EVENTS = "events"
    """The response is an event stream."""
    EVENT_PART = "event part"
    """The response is an event stream, in the middle of an event of the server's."""
    EVENT_DATA = "event data"
    """An answer that comes in parts is written as the data of one event."""
    BODY = "body"
    """The response is a streamed body of another type."""
    ENDED = "ended"
    """The response is complete."""
    CUT = "cut"
    """The client is gone: nothing more is written."""


WAITING: Final = ResponseState.WAITING
OPENED: Final = ResponseState.OPENED
EVENTS: Final = ResponseState.EVENTS
EVENT_PART: Final = ResponseState.EVENT_PART
EVENT_DATA: Final = ResponseState.EVENT_DATA
BODY: Final = ResponseState.BODY
ENDED: Final = ResponseState.ENDED
CUT: Final = ResponseState.CUT
_EVENT_STREAM: Final = (OPENED, EVENTS, EVENT_PART, EVENT_DATA)


class ResponseWriter:
    """Writes the responses of one connection, one after another; it is the `Reply` of each call.

    `cors` are header lines of every response. `keep_alive` says whether the connection may carry another request.
    `left_to_resume`: a client that disconnects comes back for the rest of the response, so its call ends.
    """

    __slots__ = (
        "_bodyless", "_buffer", "_chunked", "_comment_every", "_may_open", "_reader", "_shared", "_written", "cors",
        "keep_alive", "left_to_resume", "state",
    )  # fmt: skip

    def __init__(self, shared: ListenerContext, reader: RequestReader, buffer: SendBuffer) -> None:
        self._shared = shared
        self._reader = reader
        self._buffer = buffer
        self.state = WAITING
        self.cors = b""
        self.keep_alive = True
        self.left_to_resume = False
        self._chunked = False
        self._bodyless = False  # the response to HEAD
        self._comment_every = 0.0  # seconds of silence after which an event stream gets a comment; 0: never
        self._may_open = False  # a comment may open a response that has not begun
        self._written = 0.0  # when the response was last written to

    def start(self, request: HttpRequest) -> None:
        """Begin the response to a request."""
        self.state = WAITING
        self.keep_alive = request.keep_alive
        self.left_to_resume = False
        self._chunked = request.http11
        self._bodyless = request.head.method == b"HEAD"
        self._comment_every = 0.0

    def start_refusal(self) -> None:
        """Begin the connection's last response, to bytes that are no well-formed request."""
        self.state = WAITING
        self.keep_alive = self._bodyless = False
        self.cors = b""  # those of the request before belong to another page

    def cut(self) -> None:
        """The client is gone."""
        self.state = CUT

    @property
    def replied(self) -> bool:
        """Whether the response has begun."""
        return self.state is not WAITING

    @property
    def events(self) -> bool:
        """Whether the response is an event stream that has begun and not ended."""
        return self.state in _EVENT_STREAM

    # --- Reply ---------------------------------------------------------------------------------------------------

    def aside(self, chunk: bytes, headers: bytes = EVENT_HEADERS) -> None:
        """Write events other than the answer; they open an event stream if nothing is written yet."""
        if self.state is WAITING:
            self.begin(200, headers)
            self.state = OPENED
        self.write(chunk)

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        """Write head and body at once; on an open event stream, one event and the end."""
        if self.state is not WAITING:
            if self.state is OPENED:
                self._whole_event(headers, body)
            return
        self.state = ENDED
        persistence = b"" if self.keep_alive and not self._shared.draining else self._persistence()
        head = STATUS_LINES[status], headers, self.cors, persistence, len(body)
        if len(body) > COPIED and not self._bodyless:
            self._buffer.write_all((b"%b%b%b%bcontent-length: %d\r\n\r\n" % head, body))
        else:
            self._buffer.write(b"%b%b%b%bcontent-length: %d\r\n\r\n%b" % (*head, b"" if self._bodyless else body))

    def whole_stream(self, headers: bytes, events: bytes) -> None:
        """Write head and events at once; on an open event stream, the events and the end."""
        if self.state is WAITING:
            self.whole(200, headers, events)
        elif self.state is OPENED:
            self.state = EVENTS
            self.write(events)
            self.end()

    def error(self, status: int, body: bytes, headers: bytes = b"") -> None:
        """Write a JSON-RPC error to a client whose era is not known."""
        self.whole(status, ERROR_HEADERS + headers, body)

    def no_content(self, headers: bytes) -> None:
        """Write a response of status 204, which has no length (RFC 9110 §8.6)."""
        if self.state is WAITING:
            self.state = ENDED
            self._buffer.write(b"%b%b%b%b\r\n" % (STATUS_LINES[204], headers, self.cors, self._persistence()))

    def begin(self, status: int, headers: bytes, part: bytes = b"") -> None:
        """Write the head of a stream and its first part; a client of HTTP/1.0 gets a stream that ends with the
        connection."""
        is_events = headers is EVENT_HEADERS or _EVENT_TYPE in headers.lower()
        if self.state is WAITING:
            self.state = EVENTS if is_events else BODY
            framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
            persistence = b"" if self.keep_alive and not self._shared.draining else self._persistence()
            head = STATUS_LINES[status], headers, self.cors, framing, persistence
            if part and self._chunked:  # in one write
                if self._comment_every:
                    self._written = monotonic()
                if len(part) <= COPIED:
                    self._buffer.write_soon(b"%b%b%b%b%b\r\n%x\r\n%b\r\n" % (*head, len(part), part))
                else:
                    self._buffer.write_all((b"%b%b%b%b%b\r\n%x\r\n" % (*head, len(part)), part, b"\r\n"))
                return
            self._buffer.write(b"%b%b%b%b%b\r\n" % head)
        elif self.state is not OPENED:
            return
        elif is_events:
            self.state = EVENTS
        else:
            self._begin_event()
        self.write(part)

    def write(self, chunk: bytes) -> None:
        """Write a part of a stream."""
        state = self.state
        if chunk and state is not CUT:
            if self._comment_every:
                self._written = monotonic()
            if state is EVENT_DATA and (b"\n" in chunk or b"\r" in chunk):
                chunk = chunk.translate(ONE_LINE)
            if not self._chunked:
                self._buffer.write(chunk)
            elif len(chunk) > COPIED:
                self._buffer.write_all((b"%x\r\n" % len(chunk), chunk, b"\r\n"))
            else:
                self._buffer.write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

    def within_event(self, inside: bool) -> None:
        """Whether an event goes on with the next part: a comment would end it."""
        if self.state in (EVENTS, EVENT_PART):
            self.state = EVENT_PART if inside else EVENTS

    def resumable(self) -> None:
        """A client that disconnects comes back for the rest."""
        self.left_to_resume = True

    async def drain(self) -> None:
        """Wait until the client has taken enough; not at all if the client is gone."""
        room = self._buffer.room
        if room is not None:
            await asyncio.shield(room)

    def end(self) -> None:
        """Complete a stream."""
        state = self.state
        if state is WAITING or state is ENDED or state is CUT:
            return
        if state is EVENT_DATA:
            self.state = EVENTS  # its last bytes are line ends
            self.write(b"\n\n")
        self.state = ENDED
        if self._chunked:
            self._buffer.write(b"0\r\n\r\n")

    def abort(self) -> None:
        """Cut the connection, so that the client sees that the response is not complete."""
        self.keep_alive = False
        self._buffer.abort()

    # --- keep-alive comments -------------------------------------------------------------------------------------

    def comment_on_silence(self, every: float, since: float, *, may_open: bool) -> float:
        """Make `comment_if_silent` write a comment after `every` seconds of silence, from `since` on.

        `may_open`: a comment opens a response that has not begun, as an event stream. Returns the time of the next
        look.
        """
        self._comment_every = every
        self._may_open = may_open
        self._written = since
        return since + every

    def next_look(self, now: float) -> float:
        """The time of the next `comment_if_silent`, after the client has just taken enough."""
        return now + self._comment_every if self._comment_every else NEVER

    def comment_if_silent(self, now: float) -> float:
        """Write a comment to a silent event stream, so that proxies keep it open; returns the time of the next look."""
        if not self._comment_every:
            return NEVER
        due = self._written + self._comment_every
        if due > now:
            return due
        self._written = now
        if self.state in (OPENED, EVENTS) or (self._may_open and self.state is WAITING):
            self.aside(COMMENT)
        return now + self._comment_every

    # --- inside --------------------------------------------------------------------------------------------------

    def _whole_event(self, headers: bytes, body: bytes) -> None:
        """Write a whole answer to an open event stream; it cannot carry an answer that is not JSON."""
        if _JSON_TYPE not in headers.lower():
            self.abort()
            return
        self._begin_event()
        self.write(body)
        self.end()

    def _begin_event(self) -> None:
        """Make the following JSON the data of one event."""
        self.write(b"event: message\ndata: ")
        self.state = EVENT_DATA

    def _persistence(self) -> bytes:
        if self._shared.draining and not self._reader.pending:
            self.keep_alive = False
        return b"" if self.keep_alive else b"connection: close\r\n"
