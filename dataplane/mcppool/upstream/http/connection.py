"""One HTTP/1.1 connection to an endpoint: one exchange at a time.

The parser's callbacks run inside `data_received`. A call that awaits its answer is woken once: when the whole answer or
the first part of a stream has come. There are no timers for time-outs: the pool's sweep compares `deadline` with the
time.
"""

from __future__ import annotations

import asyncio
import select
from time import monotonic
from typing import Protocol, cast

import httptools

from mcppool.sliced_writer import SlicedWriter
from mcppool.upstream.failures import WHOLE_CALL, AttemptFailed, BadAnswer, ConnectionLost, Hung, TimedOut
from mcppool.upstream.http.answer_head import AnswerHead, keep_alive_timeout
from mcppool.upstream.http.connection_state import ConnectionState
from mcppool.upstream.http.response import NEVER, Response
from mcppool.wire.repeated_head import split_head

HOLD = 64 * 1024
"""Bytes of an answer that are held until it is whole, so that the gateway can retry after a broken one (design
§4.8)."""

MAX_HEAD = 64 * 1024
"""Upper bound in bytes on an answer's head, interim answers, and other bytes outside the body: trailers, chunk
extensions."""

MAX_HEADERS = 256
MAX_PARTS = 1024  # upper bound on separate parts of a held body
STREAM_HIGH = 64 * 1024  # bytes of a stream that wait for the client before the gateway stops reading from the server
BODILESS = frozenset({204, 304})

# Module constants, because each exchange uses them.
IDLE, WAITING, STREAMING = ConnectionState.IDLE, ConnectionState.WAITING, ConnectionState.STREAMING
ANSWERED, SPENT, CLOSING = ConnectionState.ANSWERED, ConnectionState.SPENT, ConnectionState.CLOSING
CLOSED = ConnectionState.CLOSED


class ConnectionOwner(Protocol):
    """The pool that a connection belongs to."""

    def connection_released(self, connection: Connection) -> None:
        """The exchange is over and the connection can carry the next one."""

    def connection_closed(self, connection: Connection) -> None:
        """The connection is gone."""


class Clock(Protocol):
    """A caller's clock, which may stand still: the server is not charged for that time."""

    def stood_still(self, now: float) -> float:
        """Seconds that it has stood still so far."""


class Connection(asyncio.Protocol):
    """A connection as the pool keeps it: idle, or leased for one exchange."""

    __slots__ = (
        "_answer",
        "_beginning",
        "_chunked",
        "_clock",
        "_coding",
        "_early",
        "_end",
        "_known",
        "_mark",
        "_out",
        "_parser",
        "_patience",
        "_paused",
        "_poll",
        "_received",
        "_response",
        "_sized",
        "_stood",
        "_stream_idle",
        "_total",
        "_transport",
        "answers",
        "bound",
        "carried",
        "deadline",
        "held",
        "keep_for",
        "last_used",
        "loop",
        "movable",
        "opened",
        "owner",
        "retire_at",
        "stale_at",
        "state",
        "tool",
        "used",
        "waiting_since",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: ConnectionOwner) -> None:
        self.loop = loop
        self.owner = owner
        self.state = IDLE
        self.opened = 0.0
        self.last_used = 0.0
        self.used = False
        self.answers = 0  # complete answers after which the server kept the connection
        self.carried: bytes | None = None  # the id of its last call, for the next user of the connection
        self.tool: str | None = None  # the tool of its last call
        self.retire_at = NEVER
        self.stale_at = NEVER  # when the connection is too old, or idle for too long, to carry another exchange
        self.keep_for: float | None = None  # seconds for which the server says it keeps an idle connection
        self.deadline = NEVER
        self.waiting_since = NEVER  # when the request was written, while no part of its answer has reached anybody
        self._early = False
        self._received = 0  # bytes of the answer so far
        self._mark = 0  # `_received` when the head was complete, or when the last part of the body came
        self._beginning = b""  # the first piece of the answer, until its head has been read
        self._known: AnswerHead | None = None
        self.bound = False  # its call belongs to a session at this endpoint
        self.movable = False  # its call may go elsewhere if this endpoint proves to hang
        self.held = False  # the answer is a stream of which no part has reached anybody
        self._patience = NEVER
        self._stream_idle = NEVER
        self._total = NEVER
        self._end = NEVER
        self._clock: Clock | None = None
        self._stood = 0.0  # the clock's total standstill when the deadline was set
        self._transport: asyncio.Transport | None = None
        self._out: asyncio.Transport | SlicedWriter | None = None  # to which requests are written
        self._parser = httptools.HttpResponseParser(self)
        self._poll: select.poll | None = None
        self._answer: asyncio.Future[Response] | None = None
        self._response: Response | None = None
        self._sized = False
        self._chunked = False
        self._coding = b""  # the content coding of the body; the gateway accepts none
        self._paused = False

    # --- the exchange -------------------------------------------------------------------------------------------

    def request(
        self,
        data: bytes,
        now: float,
        first_byte: float,
        stream_idle: float,
        total: float,
        end: float = NEVER,
        *,
        movable: bool = False,
        bound: bool = False,
        early: bool = False,
        clock: Clock | None = None,
        body: bytes | None = None,
    ) -> asyncio.Future[Response]:
        """Write one request, with its `body` where `data` does not contain it, and return the future of its answer.

        `first_byte` is the time by which the answer must have begun, `total` the time by which it must be whole or
        prove to be a stream. A held answer that has begun may pause for as long as its first byte may take. A stream
        may be silent for `stream_idle` seconds, and must have ended at `end`. `movable` allows `move`; `bound`: the
        request belongs to a session there; `early` hands over an event stream with its head, before its first event.
        None of these times passes while `clock` stands still.

        The lessee of the connection calls `release` when it is done with the answer, however that ended.
        """
        self.deadline = first_byte if first_byte < total else total
        self.waiting_since = now
        self.movable = movable
        self.bound = bound
        self._early = early
        self._patience = first_byte - now
        self._stream_idle = stream_idle
        self._total = total
        self._end = end
        self._clock = clock
        if clock is not None:
            self._stood = clock.stood_still(now)
        self.used = True
        self.held = False
        self._enter(WAITING)
        self._received = self._mark = 0
        self._response = Response(self)
        self._answer = answer = self.loop.create_future()
        transport, out = self._transport, self._out
        if self.state is not WAITING or transport is None or out is None or transport.is_closing():
            answer.set_exception(ConnectionLost("the connection was closed"))
        else:
            out.write(data)
            if body:
                out.write(body)
        return answer

    def release(self) -> None:
        """Give the connection back. A connection whose answer was not read to its end cannot be used again: it is
        closed."""
        response, answer = self._response, self._answer
        self.deadline = self.waiting_since = NEVER
        self._response = None
        self._answer = None
        if self.state >= CLOSING:
            if answer is not None and answer.done() and not answer.cancelled():
                answer.exception()  # retrieved: the caller may have been cancelled as the answer failed
            return
        if self.state is ANSWERED or self.state is IDLE:
            if response is not None:
                self.answers += 1
            self._enter(IDLE)
            if self._paused:
                self.resume()
            self.owner.connection_released(self)
        else:
            if response is not None and response.complete:
                self.tool = None  # its call was answered
            self.close()

    @property
    def closed(self) -> bool:
        """Whether the transport is gone."""
        return self.state >= CLOSED

    @property
    def ended_by_server(self) -> bool:
        """Whether the server closed the connection, or the network broke it."""
        return self.state > CLOSED

    @property
    def cut(self) -> bool:
        """Whether it broke during an exchange, before the whole answer had come."""
        return self.state is ConnectionState.CUT

    @property
    def closing(self) -> bool:
        """Whether nothing can be written any more."""
        return self.state >= CLOSING or self._transport is None or self._transport.is_closing()

    def at_end_of_file(self) -> bool:
        """Whether the idle connection has something to read: its end, or unexpected bytes."""
        return self.closing or self._poll is None or bool(self._poll.poll(0))

    def close(self) -> None:
        """Close without waiting; the pool hears of it when the transport is gone."""
        self._enter(CLOSING)
        self.stale_at = 0.0
        if self._transport is not None:
            self._transport.abort()

    def expire(self) -> None:
        """The deadline has passed: fail the waiting call and close, unless the caller's clock has stood still
        meanwhile."""
        if self._clock is not None:
            stood = self._clock.stood_still(monotonic()) - self._stood
            if stood > 0.0:
                self._stood += stood
                self.deadline += stood
                self._total += stood
                return
        streaming = self.state is STREAMING
        limit = "timeouts.stream_idle" if streaming else "timeouts.first_byte"
        if self.deadline >= (self._end if streaming else self._total):
            limit = WHOLE_CALL
        self.deadline = NEVER
        begun = self._begun
        what = "the next part of the answer" if begun else "the answer"
        self._fail(TimedOut(f"{what} did not come in time ({limit})", answered=begun, limit=limit))
        self.close()

    def move(self) -> None:
        """The endpoint hangs: let the call go elsewhere, if it may and no part of its answer has reached anybody."""
        if self.movable and (self.state is WAITING or (self.state is STREAMING and self.held)):
            self._fail(Hung("the endpoint hangs: it does not answer its check", answered=self._begun))
            self.close()

    def resume(self) -> None:
        """Read on after the buffer of a stream was emptied."""
        if self._paused and self._transport is not None and not self.closed:
            self._paused = False
            self._transport.resume_reading()

    # --- asyncio.Protocol ---------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection (with TLS) is established."""
        self._transport = cast(asyncio.Transport, transport)  # transports of uvloop do not derive from it
        if self.state >= CLOSING:  # the caller has given up
            self._enter(CLOSED)
            self._transport.abort()
            return
        encrypts = transport.get_extra_info("sslcontext") is not None
        self._out = SlicedWriter(self.loop, self._transport, lambda: None) if encrypts else self._transport
        self.opened = self.last_used = monotonic()
        self._poll = select.poll()
        self._poll.register(
            transport.get_extra_info("socket").fileno(), select.POLLIN | select.POLLHUP | select.POLLERR
        )

    def data_received(self, data: bytes) -> None:
        """Parse; any bytes that do not answer our request end the connection."""
        response = self._response
        if response is None:
            self.close()
            return
        if not self._received:
            known = self._known
            if known is not None and (begin := known.body_in(data)):
                self._take(response, known, data[begin:])
                return
            self._beginning = data
            self._coding = b""
            self._sized = self._chunked = False
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(BadAnswer(f"not an HTTP response: {error}"))
            self.close()
        except httptools.HttpParserUpgrade:
            self._fail(BadAnswer("the server switched protocols"))
            self.close()
        else:
            if self._received - self._mark > MAX_HEAD and self._response is not None:
                where = "a head" if self._response.status < 200 else "a trailer or a chunk's head"
                self._fail(BadAnswer(f"{where} of more than {MAX_HEAD} bytes"))
                self.close()

    def pause_writing(self) -> None:
        """The server reads more slowly than we write."""
        if isinstance(self._out, SlicedWriter):
            self._out.pause()

    def resume_writing(self) -> None:
        """The server has taken enough."""
        if isinstance(self._out, SlicedWriter):
            self._out.resume()

    def eof_received(self) -> bool:
        """A body without a length ends here; the connection cannot be used again."""
        self.stale_at = 0.0
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """The transport is gone: an answer delimited by the end of the connection is now whole, any other is lost."""
        if self.state >= CLOSED:
            return
        response = self._response
        end = CLOSED if self.state is CLOSING else ConnectionState.ENDED
        if response is not None and not response.complete:
            if exc is None and end is not CLOSED and self._ends_with_connection(response):
                self._complete(response, kept=False)
            else:
                end = CLOSED if end is CLOSED else ConnectionState.CUT
                answered = response.status != 0
                self._fail(ConnectionLost(f"the connection broke: {exc or 'closed by the server'}", answered=answered))
        self._enter(end)
        self.owner.connection_closed(self)

    # --- httptools ----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A message begins; one after the whole answer is unexpected."""
        if self._response is not None and self._response.complete:
            self._response = None
            self.close()

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer."""
        response = self._response
        if response is None or response.status >= 200:  # a trailer: the gateway uses none
            return
        name = name.lower()
        response.headers.append((name, value))
        if len(response.headers) > MAX_HEADERS:
            self._fail(BadAnswer(f"more than {MAX_HEADERS} headers"))
            self.close()
        if name == b"content-type":
            response.content_type = value.partition(b";")[0].strip().lower()
        elif name == b"content-length":
            self._sized = True
        elif name == b"transfer-encoding":
            self._chunked = True
        elif name == b"content-encoding" and value.strip().lower() not in (b"", b"identity"):
            self._coding = value
        elif name == b"keep-alive":
            seconds = keep_alive_timeout(value)
            self.keep_for = self.keep_for if seconds is None else seconds

    def on_headers_complete(self) -> None:
        """The status is known; a stream is handed over with its first part."""
        response = self._response
        if response is None:
            return
        response.status = self._parser.get_status_code()
        if 100 <= response.status < 200:
            response.headers.clear()
            self._beginning = self._coding = b""
            return
        self._mark = self._received
        if self._coding:
            coding = self._coding[:40].decode("latin-1")
            self._fail(BadAnswer(f"a compressed answer (content-encoding: {coding}), where none was asked for"))
            self.close()
        elif self._early and response.content_type == b"text/event-stream":
            self._enter(STREAMING)
            self.deadline = self.waiting_since = NEVER
            self._hand_over(response)

    def on_body(self, body: bytes) -> None:
        """A part of the body: held while the answer may still become whole, streamed otherwise."""
        response = self._response
        if response is None:
            return
        self._mark = self._received
        response.chunks.append(body)
        response.size += len(body)
        if len(response.chunks) > MAX_PARTS:
            response.join_parts()
        if self.state is STREAMING:
            self._sign_of_life()
            response.wake()
            if response.size > STREAM_HIGH and not self._paused and self._transport is not None:
                self._paused = True
                self._transport.pause_reading()
        elif response.content_type == b"text/event-stream" or response.size > HOLD:
            self._enter(STREAMING)
            self.waiting_since = NEVER
            self._sign_of_life()
            self._hand_over(response)
        else:
            self.deadline = min(monotonic() + self._patience, self._total)

    def on_message_complete(self) -> None:
        """The answer is whole."""
        response = self._response
        if response is not None and not 100 <= response.status < 200:
            self._complete(response, kept=self._parser.should_keep_alive())

    # --- inside -------------------------------------------------------------------------------------------------

    def _enter(self, state: ConnectionState) -> None:
        """The only transition. An end is final; only its cause may become known later."""
        if self.state < CLOSING or state > self.state:
            self.state = state

    def _ends_with_connection(self, response: Response) -> bool:
        """Whether the body has no length, so that the end of the connection ends it."""
        return response.status >= 200 and not self._sized and not self._chunked

    def _complete(self, response: Response, *, kept: bool) -> None:
        """The last byte of the answer has come; `kept`: the server keeps the connection."""
        streaming = self.state is STREAMING
        self._enter(ANSWERED if kept else SPENT)
        response.complete = True
        self.deadline = NEVER
        if streaming:
            response.wake()
            return
        if kept:
            self._remember(response)
        chunks = response.chunks
        response.whole = True
        response.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._hand_over(response)

    def _sign_of_life(self) -> None:
        """The stream has sent something: its idle time-out starts again."""
        now = monotonic()
        self.deadline = min(now + self._stream_idle, self._end)
        if self._clock is not None:
            self._stood = self._clock.stood_still(now)

    def _take(self, response: Response, head: AnswerHead, body: bytes) -> None:
        """Take a whole answer with the same head as the one before; the parser does not see it."""
        self._received = len(body) + 1
        self._enter(ANSWERED)
        self.deadline = NEVER
        if head.keep_for is not None:
            self.keep_for = head.keep_for
        response.status = head.status
        response.headers = head.lines
        response.content_type = head.content_type
        response.body = body
        response.chunks.append(body)
        response.complete = response.whole = True
        self._hand_over(response)

    def _hand_over(self, response: Response) -> None:
        """Wake the call that awaits the answer."""
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(response)

    def _remember(self, response: Response) -> None:
        """Keep the head of a whole answer, if it came in the first piece and gives the length of the body. A stream is
        never held until it is whole, so it is never kept."""
        beginning, self._beginning = self._beginning, b""
        held = response.content_type != b"text/event-stream" and response.status not in BODILESS
        if held and self._sized and not self._chunked:
            found = split_head(beginning[: beginning.find(b"\r\n\r\n") + 4])
            if found is not None:
                self._known = AnswerHead(found[0], found[1], response)

    @property
    def _begun(self) -> bool:
        """Whether the server has sent anything, so that it certainly had the request."""
        return self._response is not None and self._response.status != 0

    def _fail(self, failure: AttemptFailed) -> None:
        response = self._response
        if response is not None and not response.complete and response.failure is None:
            response.failure = failure
            response.wake()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(failure)
