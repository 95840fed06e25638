"""The listener's side of HTTP/1.1: small, strict, one call at a time for each connection (DESIGN §10).

httptools parses; what it lets pass and a strict reader would not is refused here (`strictness`). Pipelined requests wait their
turn and are answered in order; while one waits, nothing more is read. A connection is its own call's `Reply`.
"""

from __future__ import annotations

import asyncio
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import monotonic
from typing import cast

import httptools

from mcppool.gateway.strictness import Malformed, check_head
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import GatewayMetrics
from mcppool.wire.errors import INTERNAL_ERROR, INVALID_REQUEST, error_body

MAX_HEAD = 32 * 1024  # bytes of request line and headers
MAX_HEADERS = 100
HEAD_TIMEOUT = 10.0  # seconds from the first byte of a request to the end of its head
BODY_TIMEOUT = 60.0  # seconds for the body after that
IDLE_TIMEOUT = 75.0  # seconds without a request
WRITE_TIMEOUT = 60.0  # seconds in which a client takes nothing of what we write
NEVER = float("inf")

STATUS_LINES = {s.value: f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode() for s in HTTPStatus}
JSON_HEADERS = b"content-type: application/json\r\n"

log = get_logger("listener")


class HttpRequest:
    """One whole request. `lines` are its headers in order, names in lower case."""

    __slots__ = ("body", "lines", "method", "received", "target")

    def __init__(
        self, method: bytes, target: bytes, lines: list[tuple[bytes, bytes]], body: bytes, received: float
    ) -> None:
        self.method = method
        self.target = target
        self.lines = lines
        self.body = body
        self.received = received


Handler = Callable[[HttpRequest, "HttpConnection"], Awaitable[None]]


class Listening:
    """What the connections of one listener share."""

    def __init__(self, handler: Handler, metrics: GatewayMetrics, max_body: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.handler = handler
        self.metrics = metrics
        self.max_body = max_body
        self.connections: set[HttpConnection] = set()
        self.detached: set[asyncio.Task[None]] = set()  # legacy calls whose client has gone
        self.draining = False

    def sweep(self, now: float) -> None:
        """End what has taken too long."""
        for connection in [c for c in self.connections if c.deadline <= now]:
            connection.expire()


class HttpConnection(asyncio.Protocol):
    """One client's connection, and the `Reply` of the call that it carries."""

    __slots__ = (
        "_body", "_call", "_chunked", "_fatal", "_head_size", "_in_body", "_lines", "_parser", "_queue", "_reading", "_replied", "_room",
        "_shared", "_size", "_streaming", "_target", "_transport", "closed", "deadline", "detach", "keep_alive",
    )  # fmt: skip

    def __init__(self, shared: Listening) -> None:
        self._shared = shared
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport | None = None
        self._queue: deque[tuple[HttpRequest, bool, bool]] = deque()
        self._call: asyncio.Task[None] | None = None
        self._fatal: Malformed | None = None
        self._in_body = False
        self._target = b""
        self._lines: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._head_size = 0
        self._size = 0
        self._reading = True
        self._room: asyncio.Future[None] | None = None
        self._replied = False  # the call has begun or given its answer
        self._streaming = False
        self._chunked = False
        self.closed = False
        self.detach = False  # the call outlives its client (legacy)
        self.keep_alive = True
        self.deadline = NEVER

    # --- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        self._transport = transport
        shared = self._shared
        shared.connections.add(self)
        shared.metrics.listener_opened += 1
        self.deadline = monotonic() + IDLE_TIMEOUT

    def data_received(self, data: bytes) -> None:
        """Parse; what is no request is answered once those before it are, and the connection ends."""
        if self._fatal is not None:
            return
        shared = self._shared
        shared.metrics.listener_bytes_received += len(data)
        if self._call is None and not self._head_size:
            self.deadline = monotonic() + HEAD_TIMEOUT
        self._head_size += len(data)
        try:
            self._parser.feed_data(data)
            if self._head_size > MAX_HEAD and not self._in_body:
                raise Malformed(431, "head_too_large", f"the head is larger than {MAX_HEAD} bytes")
        except httptools.HttpParserUpgrade:
            self._refuse(Malformed(400, "upgrade", "Upgrade is not supported"))
        except httptools.HttpParserError as error:
            cause = error.__context__
            self._refuse(
                cause if isinstance(cause, Malformed) else Malformed(400, "not_http", f"not HTTP/1.1: {error}")
            )
        except Malformed as error:
            self._refuse(error)

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
        self.resume_writing()
        call = self._call
        if call is not None:
            if self.detach:
                shared.detached.add(call)
                call.add_done_callback(shared.detached.discard)
            else:
                call.cancel()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._room = self._shared.loop.create_future()
        self.deadline = monotonic() + WRITE_TIMEOUT

    def resume_writing(self) -> None:
        """There is room again."""
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None
            self.deadline = NEVER

    # --- httptools -----------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """A request begins."""
        self._target = b""
        self._lines = []
        self._body = []
        self._size = 0
        self._in_body = False

    def on_url(self, url: bytes) -> None:
        """The target, maybe in parts."""
        self._target += url

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header line."""
        self._lines.append((name.lower(), value))
        if len(self._lines) > MAX_HEADERS:
            raise Malformed(431, "too_many_headers", f"more than {MAX_HEADERS} header lines")

    def on_headers_complete(self) -> None:
        """The head is whole: check it, and say that the body may come where the client waits for that word."""
        self._in_body = True
        expects = check_head(
            self._parser.get_method(), self._target, self._lines, self._parser.get_http_version(), self._shared.max_body
        )
        self.deadline = monotonic() + BODY_TIMEOUT
        if expects and self._call is None and not self._queue and self._transport is not None:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        """A part of the body."""
        self._size += len(body)
        if self._size > self._shared.max_body:
            raise Malformed(413, "body_too_large", f"the body is larger than {self._shared.max_body} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        """A request is whole: its call begins now, or waits for those before it."""
        parser = self._parser
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        request = HttpRequest(parser.get_method(), self._target, self._lines, body, monotonic())
        keep_alive = parser.should_keep_alive()
        chunked = parser.get_http_version() == "1.1"
        self._head_size = 0
        self.deadline = NEVER
        if self._call is None:
            self._start(request, keep_alive, chunked)
        else:
            self._queue.append((request, keep_alive, chunked))
            self._pause_reading()

    # --- Reply ---------------------------------------------------------------------------------------------------

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        """Head and body in one write."""
        if self.closed or self._replied:
            return
        self._replied = True
        close = b"" if self.keep_alive and not self._shared.draining else b"connection: close\r\n"
        data = b"%b%b%bcontent-length: %d\r\n\r\n%b" % (STATUS_LINES[status], headers, close, len(body), body)
        self._write(data)

    def begin(self, status: int, headers: bytes) -> None:
        """The head of a stream; a client of HTTP/1.0 gets one that ends with the connection."""
        if self.closed or self._replied:
            return
        self._replied = self._streaming = True
        if not self._chunked:
            self.keep_alive = False
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        close = b"" if self.keep_alive and not self._shared.draining else b"connection: close\r\n"
        self._write(b"%b%b%b%b\r\n" % (STATUS_LINES[status], headers, framing, close))

    def write(self, chunk: bytes) -> None:
        """A part of a stream."""
        if chunk and not self.closed:
            self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk) if self._chunked else chunk)

    async def drain(self) -> None:
        """Wait until the client has taken enough; at once where it has gone."""
        if self._room is not None and not self.closed:
            await asyncio.shield(self._room)

    def end(self) -> None:
        """The end of a stream."""
        if self.closed or not self._streaming:
            return
        self._streaming = False
        if self._chunked:
            self._write(b"0\r\n\r\n")

    def abort(self) -> None:
        """Cut the connection, so that the client sees that there is no (more) answer."""
        self.keep_alive = False
        if self._transport is not None:
            self._transport.abort()

    # --- for the listener ----------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a call is under way or waits."""
        return self._call is not None or bool(self._queue)

    def expire(self) -> None:
        """Something took too long."""
        self.deadline = NEVER
        if self.busy or not self._head_size:
            self.abort()  # a client that does not read, or an idle connection
        else:
            self._refuse(Malformed(408, "timeout", "the request did not come in time"))

    def shut(self) -> None:
        """Close if idle; what is under way is finished first, and its answer says `connection: close`."""
        if not self.busy and self._transport is not None:
            self._transport.close()

    # --- inside --------------------------------------------------------------------------------------------------

    def _write(self, data: bytes) -> None:
        self._shared.metrics.listener_bytes_sent += len(data)
        if self._transport is not None:
            self._transport.write(data)

    def _start(self, request: HttpRequest, keep_alive: bool, chunked: bool) -> None:
        self.keep_alive = keep_alive
        self._chunked = chunked
        self._replied = self._streaming = self.detach = False
        self._call = self._shared.loop.create_task(self._run(request))

    async def _run(self, request: HttpRequest) -> None:
        try:
            await self._shared.handler(request, self)
        except Exception as error:  # a defect of ours must not take the connection's other calls with it
            log.error("defect", exception="".join(traceback.format_exception(error)))
            if self._replied:
                self.abort()
            else:
                self.whole(500, JSON_HEADERS, error_body(None, INTERNAL_ERROR, "A defect in the gateway"))
        finally:
            self._finished()

    def _finished(self) -> None:
        """The call is over: the next one, or the wait for it."""
        self._call = None
        if self.closed:
            return
        if self._streaming or not self._replied:
            self.abort()  # cut or unanswered: whatever comes next would be taken for its rest
        elif not self.keep_alive or self._shared.draining:
            if self._transport is not None:
                self._transport.close()
        elif self._queue:
            self._start(*self._queue.popleft())
        elif self._fatal is not None:
            self._answer_fatal(self._fatal)
        else:
            if not self._head_size:
                self.deadline = monotonic() + IDLE_TIMEOUT
            self._resume_reading()

    def _refuse(self, malformed: Malformed) -> None:
        """Nothing that follows can be understood."""
        self._fatal = malformed
        self._shared.metrics.refuse(malformed.reason)
        self._pause_reading()
        if not self.busy:
            self._answer_fatal(malformed)

    def _answer_fatal(self, malformed: Malformed) -> None:
        self.keep_alive = False
        self._replied = False
        body = error_body(None, INVALID_REQUEST, malformed.message)
        self.whole(malformed.status, JSON_HEADERS, body)
        if self._transport is not None:
            self._transport.close()

    def _pause_reading(self) -> None:
        if self._reading and self._transport is not None and not self.closed:
            self._reading = False
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if not self._reading and self._transport is not None and not self.closed:
            self._reading = True
            self._transport.resume_reading()
