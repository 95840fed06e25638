"""The listener's side of HTTP/1.1: small, strict, one call at a time for each connection (DESIGN §10).

Pipelined requests wait their turn and are answered in order; while one waits, nothing more is read. A connection is its
own call's `Reply`.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import monotonic
from typing import ClassVar, cast

from mcppool.gateway.request_reader import HttpRequest, Limits, RequestReader
from mcppool.gateway.strictness import Malformed
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import GatewayMetrics
from mcppool.wire.errors import INTERNAL_ERROR, INVALID_REQUEST, error_body

NEVER = float("inf")


class StatusLines(dict[int, bytes]):
    """The first line of an answer, by its status; a status of a server's own is passed on, too."""

    def __missing__(self, status: int) -> bytes:
        return b"HTTP/1.1 %d \r\n" % status


STATUS_LINES = StatusLines((s.value, f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode()) for s in HTTPStatus)
JSON_HEADERS = b"content-type: application/json\r\n"
JSON = b"content-type: application/json"
EVENT_STREAM = b"content-type: text/event-stream"
EVENT_STREAM_HEADERS = EVENT_STREAM + b"\r\ncache-control: no-cache, no-transform\r\nx-accel-buffering: no\r\n"
_ONE_LINE = bytes.maketrans(b"\r\n", b"  ")  # in JSON these are white space between members, never part of a string

log = get_logger("listener")


class Stage:
    """What a connection waits for, and the most seconds that it does."""

    __slots__ = ("seconds",)

    IDLE: ClassVar[Stage]
    """A request."""
    HEAD: ClassVar[Stage]
    """From the first byte of a request to the end of its head."""
    BODY: ClassVar[Stage]
    """The body after that."""
    CALL: ClassVar[Stage]
    """The answer, which has time-outs of its own."""
    WRITE: ClassVar[Stage]
    """A client that takes nothing of what we write."""
    LINGER: ClassVar[Stage]
    """The sender of something malformed to read why, before the connection is closed."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


Stage.IDLE = Stage(75.0)
Stage.HEAD = Stage(10.0)
Stage.BODY = Stage(60.0)
Stage.CALL = Stage(NEVER)
Stage.WRITE = Stage(60.0)
Stage.LINGER = Stage(2.0)

Handler = Callable[[HttpRequest, "HttpConnection"], Awaitable[None]]


class Listening:
    """What the connections of one listener share."""

    def __init__(self, handler: Handler, metrics: GatewayMetrics, max_body: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.handler = handler
        self.metrics = metrics
        self.limits = Limits(max_body)
        self.connections: set[HttpConnection] = set()
        self.detached: set[asyncio.Task[None]] = set()  # calls whose client has gone
        self.draining = False

    def sweep(self, now: float) -> None:
        """End what has taken too long."""
        for connection in [c for c in self.connections if c.deadline <= now]:
            connection.expire()


class HttpConnection(asyncio.Protocol):
    """One client's connection, and the `Reply` of the call that it carries.

    The handler of a call may set `detach` (the call outlives its client) and `endless` (it does not finish by itself: a
    drain does not wait for it). `ending` tells a cancelled handler that the client is there and is owed an answer.
    """

    __slots__ = (
        "_bodyless", "_calling", "_chunked", "_fatal", "_in_event", "_next", "_queue", "_reader", "_reading",
        "_replied", "_room", "_shared", "_stage", "_streaming", "_transport", "_undecided", "_unsent", "_worker",
        "closed", "deadline", "detach", "ending", "endless", "events", "keep_alive",
    )  # fmt: skip

    def __init__(self, shared: Listening) -> None:
        self._shared = shared
        self._reader = RequestReader(shared.limits, self._deliver)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[HttpRequest] = deque()
        self._worker: asyncio.Task[None] | None = None  # one for all its calls (decision 0009)
        self._next: asyncio.Future[HttpRequest] | None = None  # what it waits for between two calls
        self._calling = False
        self._fatal: Malformed | None = None
        self._reading = True
        self._room: asyncio.Future[None] | None = None
        self._unsent = 0  # bytes that waited for the client when we last looked
        self._stage = Stage.CALL
        self._replied = False  # the call has begun or given its answer
        self._streaming = False
        self._chunked = False
        self._bodyless = False  # the answer to HEAD
        self._undecided = False  # the stream is open, and nothing has come that is the answer or belongs to it
        self._in_event = False  # an answer in parts is written as the data of one event
        self.closed = False
        self.detach = False
        self.endless = False
        self.ending = False
        self.events = False  # the answer is an event stream that has begun and not ended
        self.keep_alive = True
        self.deadline = NEVER

    # --- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        self._shared.connections.add(self)
        self._shared.metrics.listener_opened += 1
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Read requests; what is none is answered once those before it are, and the connection ends."""
        shared = self._shared
        shared.metrics.listener_bytes_received += len(data)
        if self._fatal is not None:
            return
        try:
            self._reader.feed(data)
        except Malformed as malformed:
            self._refuse(malformed)
            return
        if not self._calling:
            self._await_request()

    def eof_received(self) -> bool:
        """A client that ends its side is gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the protocol's)
        """Cancel the call, or let it go on alone: the two eras want opposite things (mcp-wire.md §6.2, 3)."""
        self.closed = True
        self.deadline = NEVER
        shared = self._shared
        shared.connections.discard(self)
        shared.metrics.listener_closed += 1
        self._queue.clear()
        self._make_room()
        worker = self._worker
        if worker is not None:
            shared.detached.add(worker)
            worker.add_done_callback(shared.detached.discard)
            if not (self._calling and self.detach):
                worker.cancel()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._room = self._shared.loop.create_future()
        self._unsent = self._backlog()
        self._enter(Stage.WRITE)

    def resume_writing(self) -> None:
        """There is room again."""
        self._make_room()
        if self._stage is Stage.WRITE:
            self._enter(Stage.CALL)
            if not self._calling:
                self._await_request()

    # --- Reply ---------------------------------------------------------------------------------------------------

    def aside(self, chunk: bytes, headers: bytes = EVENT_STREAM_HEADERS) -> None:
        """Whole events that decide nothing, on a stream of events that they open where there is none yet."""
        if self.closed:
            return
        if not self._replied:
            self.begin(200, headers)
            self._undecided = True
        self.write(chunk)

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        """Head and body in one write; one event, and the end, on a stream that is open already."""
        if self._undecided:
            self._whole_event(headers, body)
            return
        if self.closed or self._replied:
            return
        self._replied = True
        persistence = b"" if self.keep_alive and not self._shared.draining else self._persistence()
        self._write(
            b"%b%b%bcontent-length: %d\r\n\r\n%b"
            % (STATUS_LINES[status], headers, persistence, len(body), b"" if self._bodyless else body)
        )

    def begin(self, status: int, headers: bytes) -> None:
        """The head of a stream; a client of HTTP/1.0 gets one that ends with the connection."""
        if self._undecided:
            self._undecided = False
            if EVENT_STREAM not in headers.lower():
                self._begin_event()
            return
        if self.closed or self._replied:
            return
        self._replied = self._streaming = True
        self.events = EVENT_STREAM in headers.lower()
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        self._write(b"%b%b%b%b\r\n" % (STATUS_LINES[status], headers, framing, self._persistence()))

    def write(self, chunk: bytes) -> None:
        """A part of a stream."""
        if chunk and not self.closed:
            if self._in_event:
                chunk = chunk.translate(_ONE_LINE)
            self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)

    async def drain(self) -> None:
        """Wait until the client has taken enough; at once where it has gone."""
        if self._room is not None and not self.closed:
            await asyncio.shield(self._room)

    def end(self) -> None:
        """The end of a stream."""
        if self.closed or not self._streaming:
            return
        if self._in_event:
            self._in_event = False
            self.write(b"\n\n")
        self._streaming = self.events = self._undecided = False
        if self._chunked:
            self._write(b"0\r\n\r\n")

    def abort(self) -> None:
        """Cut the connection, so that the client sees that there is no (more) answer."""
        self.keep_alive = False
        if self._transport is not None:
            self._transport.abort()

    @property
    def replied(self) -> bool:
        """Whether the call's answer has begun."""
        return self._replied

    # --- for the listener ----------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a call is under way, or a request waits or is coming."""
        return self._calling or self._reader.in_body or self._reader.in_head

    def expire(self) -> None:
        """What this connection waits for has taken too long."""
        if self._room is not None and (unsent := self._backlog()) < self._unsent:
            self._unsent = unsent  # slow, but taking
            self._enter(Stage.WRITE)
        elif self._stage in (Stage.HEAD, Stage.BODY):
            self._refuse(Malformed(408, "timeout", "the request did not come in time"))
        else:
            self.abort()

    def shut(self) -> None:
        """Close if idle; what is under way is finished first, and its answer says `connection: close`."""
        if not self.busy and self._fatal is None:
            self._close()

    def cut(self) -> None:
        """End the call now, with its handler's last words."""
        self._queue.clear()
        if not self._calling or self._worker is None:
            self._close()
        elif not self.ending:
            self.ending = True
            self._worker.cancel()

    # --- inside --------------------------------------------------------------------------------------------------

    def _whole_event(self, headers: bytes, body: bytes) -> None:
        """A whole answer that comes when the stream is open already; what is no JSON cannot be told there."""
        self._undecided = False
        if JSON not in headers.lower():
            self.abort()
            return
        self._begin_event()
        self.write(body)
        self.end()

    def _begin_event(self) -> None:
        """What is written until the end is JSON, and becomes the data of one event."""
        self.write(b"event: message\ndata: ")
        self._in_event = True

    def _write(self, data: bytes) -> None:
        self._shared.metrics.listener_bytes_sent += len(data)
        if self._transport is not None:
            self._transport.write(data)

    def _persistence(self) -> bytes:
        if self._shared.draining and not self._queue:
            self.keep_alive = False
        return b"" if self.keep_alive else b"connection: close\r\n"

    def _enter(self, stage: Stage) -> None:
        self._stage = stage
        self.deadline = monotonic() + stage.seconds

    def _backlog(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _make_room(self) -> None:
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None

    def _await_request(self) -> None:
        """Set the clock for what must come next. It is not set anew by bytes that bring nothing forward."""
        if self._room is not None or self._fatal is not None:
            return
        reader = self._reader
        stage = Stage.BODY if reader.in_body else Stage.HEAD if reader.in_head else Stage.IDLE
        if stage is not self._stage:
            self._enter(stage)
        if reader.expects:
            reader.expects = False
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _deliver(self, request: HttpRequest) -> None:
        """A request's call begins now, or waits for those before it."""
        if not self._calling:
            self._start(request)
        else:
            self._queue.append(request)
            self._pause_reading()

    def _start(self, request: HttpRequest) -> None:
        self.keep_alive = request.keep_alive
        self._chunked = request.http11
        self._bodyless = request.head.method == b"HEAD"
        self._replied = self._streaming = self.events = self.detach = self.endless = self._undecided = False
        if self._room is None:
            self._stage = Stage.CALL
            self.deadline = NEVER
        self._calling = True
        if self._next is not None:
            self._next.set_result(request)
        else:
            self._worker = self._shared.loop.create_task(self._work(request))

    async def _work(self, request: HttpRequest) -> None:
        """Call after call, until the connection ends."""
        while True:
            try:
                await self._shared.handler(request, self)
            except Exception as error:  # a defect of ours must not take the connection's other calls with it
                log.error("defect", exception="".join(traceback.format_exception(error)))
                if self._replied:
                    self.abort()
                else:
                    self.whole(500, JSON_HEADERS, error_body(None, INTERNAL_ERROR, "A defect in the gateway"))
            except asyncio.CancelledError:
                self._next = None
                self._finished()
                raise
            self._next = self._shared.loop.create_future()
            self._finished()
            if self.closed:
                return
            request = await self._next

    def _finished(self) -> None:
        """The call is over: the next one, or the wait for it."""
        self._calling = False
        if self.closed:
            return
        if self._streaming or not self._replied:
            self.abort()  # cut or unanswered: whatever comes next would be taken for its rest
        elif not self.keep_alive or self.ending:
            self._close()
        elif self._queue:
            self._start(self._queue.popleft())
        elif self._fatal is not None:
            self._answer_fatal(self._fatal)
        elif self._shared.draining and not self.busy:
            self._close()
        else:
            self._await_request()
            self._resume_reading()

    def _close(self) -> None:
        """Close once everything is sent; a client that takes nothing is not waited for."""
        if self._transport is not None and not self._transport.is_closing():
            self._unsent = self._backlog()
            self._enter(Stage.WRITE)
            self._transport.close()

    def _refuse(self, malformed: Malformed) -> None:
        """Nothing that follows can be understood."""
        self._fatal = malformed
        self._shared.metrics.refuse(malformed.reason)
        self._pause_reading()
        if not self._calling:
            self._answer_fatal(malformed)

    def _answer_fatal(self, malformed: Malformed) -> None:
        """Say what was wrong, and give its sender a moment to read it: to close with bytes unread is to reset."""
        self.keep_alive = self._replied = self._bodyless = False
        self.whole(malformed.status, JSON_HEADERS, error_body(None, INVALID_REQUEST, malformed.message))
        transport = self._transport
        if transport is None or not transport.can_write_eof():
            self._close()
            return
        self._enter(Stage.LINGER)
        transport.write_eof()
        self._resume_reading()

    def _pause_reading(self) -> None:
        if self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()
