"""The listener's side of HTTP/1.1: small, strict, one call at a time for each connection (design §9.2).

Pipelined requests wait their turn and are answered in order. While one waits, or while the client does not take its
answers, nothing more is read. A connection is its own call's `Reply`.
"""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import termios
import traceback
from collections import deque
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from time import monotonic
from typing import ClassVar, Final, cast

from mcppool.gateway.http.client_caps import UNLIMITED, ClientAddress, ClientCaps, Clients
from mcppool.gateway.http.reader import HttpRequest, RequestLimits, RequestReader
from mcppool.gateway.http.validation import Malformed
from mcppool.observe.logs import get_logger
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.rate_limited_event import RateLimitedEvent
from mcppool.pipeline.call import EVENT_HEADERS
from mcppool.pipeline.sessions.attendance import Attendance
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.wire.bulk import BULK
from mcppool.wire.errors import INTERNAL_ERROR, INVALID_REQUEST, REASONS, Reason, error_body, fault_body

NEVER = float("inf")
MAX_PENDING: Final = 16 * 1024
"""Bytes behind a request in progress that are read from the socket: enough to see a client that goes."""
LEAST_TAKEN: Final = 60 * 1024
"""Bytes of a waiting answer that a client must take in the time of `Stage.WRITE`, ..."""
LEAST_TAKEN_SHARE: Final = 30
"""... and at least this part of it: a large answer does not take hours."""
LEAST_SENT: Final = 1 << 20
"""Bytes of a body that a client must send in the time of `Stage.BODY`, or its end."""
TURN: Final = 0.004
"""Seconds that go in one turn of the loop into what connections have to read beyond their own turn."""
CROWDED: Final = 0.9
"""Share of `max_connections` from which idle connections are closed early, ..."""
CROWDED_IDLE: Final = 5.0
"""... after so many seconds."""
DISCARD_EVERY: Final = 0.005
"""Seconds between two reads of bodies that are thrown away, of all connections together: some 50 MB in a second."""
STALLED: Final = 4
"""Looks in a row at a client that takes nothing, after which its connection is cut while memory is full."""


class StatusLines(dict[int, bytes]):
    """The first line of an answer, by its status; a status of a server's own is passed on, too."""

    def __missing__(self, status: int) -> bytes:
        return b"HTTP/1.1 %d \r\n" % status


STATUS_LINES = StatusLines((s.value, f"HTTP/1.1 {s.value} {s.phrase}\r\n".encode()) for s in HTTPStatus)
ERROR_HEADERS = b"content-type: application/json\r\ncache-control: no-store\r\n"
JSON = b"content-type: application/json"
EVENT_STREAM = b"content-type: text/event-stream"
COMMENT = b": keep-alive\n\n"
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
    """The body after that, or `LEAST_SENT` of it."""
    CALL: ClassVar[Stage]
    """The answer, which has time-outs of its own; a deadline is the next comment's."""
    WRITE: ClassVar[Stage]
    """A client that takes less than `LEAST_TAKEN` of what we write."""
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

MAX_ATTENDED: Final = 256
"""Sessions of local servers that one connection keeps alive by being open; a proxy may bring many on one."""


class ListenerContext:
    """What the connections of one listener share."""

    def __init__(
        self,
        handler: Handler,
        metrics: GatewayMetrics,
        max_body: int,
        memory: MemoryBudget | None = None,
        caps: ClientCaps = UNLIMITED,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.handler = handler
        self.metrics = metrics
        self.memory = memory or MemoryBudget()
        self.answers = self.memory.account("answers")
        self.limits = RequestLimits(max_body, self.memory.account("bodies"))
        self.clients = Clients(caps)
        self.connections: set[HttpConnection] = set()
        self.detached: set[asyncio.Task[None]] = set()  # calls whose client has gone
        self.draining = False
        self._seldom = RateLimitedEvent(log)
        self._behind: deque[HttpConnection] = deque()
        self._discarding: deque[HttpConnection] = deque()
        self._turning = False  # `_turn` is going on, or will be called

    def later(self, connection: HttpConnection) -> None:
        """Let a connection read on when those before it have had their turns."""
        self._behind.append(connection)
        if not self._turning:
            self._turning = True
            self.loop.call_soon(self._turn)

    def discard_slowly(self, connection: HttpConnection) -> None:
        """Let a connection whose body is thrown away read again after those before it."""
        if not self._discarding:
            self.loop.call_later(DISCARD_EVERY, self._discard_turn)
        self._discarding.append(connection)

    def _discard_turn(self) -> None:
        self._discarding.popleft().resume()
        if self._discarding:
            self.loop.call_later(DISCARD_EVERY, self._discard_turn)

    def turn_away(self, cap: str, client: ClientAddress) -> None:
        """Count what a cap keeps out or ends, and say so once in a while."""
        self.metrics.turn_away(cap)
        self._seldom.warning("turned_away", cap, cap=cap, client=client.address)

    def refusal(self, client: ClientAddress) -> str | None:
        """Why a connection that this client has just opened is not served; None: it is."""
        caps = self.clients.caps
        if self.clients.connections > caps.connections:
            return "max_connections"
        if client.connections > caps.connections_per_client:
            return "max_connections_per_client"
        return None

    def sweep(self, now: float) -> None:
        """End what has taken too long; and, while memory is full, who takes nothing of a large answer."""
        for connection in [c for c in self.connections if c.deadline <= now]:
            connection.expire()
        if self.clients.connections > CROWDED * self.clients.caps.connections:
            for connection in [c for c in self.connections if c.idle_until <= now]:
                connection.shut()
        if self.memory.full:
            for connection in [c for c in self.connections if c.held]:
                connection.look()

    def _turn(self) -> None:
        behind = self._behind
        end = monotonic() + TURN
        for _ in range(len(behind)):
            behind.popleft().read_on()
            if monotonic() >= end:
                break
        self._turning = bool(behind)
        if behind:
            self.loop.call_soon(self._turn)


class HttpConnection(asyncio.Protocol):
    """One client's connection, and the `Reply` of the call that it carries.

    The handler of a call may set `detach` (the call outlives its client) and `endless` (it does not finish by itself: a
    drain does not wait for it). `ending` tells a cancelled handler that the client is there and is owed an answer.
    `held` bytes of its answers wait to be taken; `cors` are header lines of every answer.
    """

    __slots__ = (
        "_attends", "_bodyless", "_calling", "_chunked", "_every", "_fatal", "_in_event", "_looked", "_mark",
        "_may_open", "_next", "_piece", "_reader", "_reading", "_received", "_replied", "_room", "_sent", "_shared",
        "_stage", "_stalled", "_streaming", "_transport", "_undecided", "_worker", "client", "closed", "cors",
        "deadline", "detach", "ending", "endless", "events", "held", "keep_alive",
    )  # fmt: skip

    def __init__(self, shared: ListenerContext) -> None:
        self._shared = shared
        self._reader = RequestReader(shared.limits, self._deliver)
        self._transport: asyncio.Transport | None = None
        self._worker: asyncio.Task[None] | None = None  # one for all its calls (decision 0009)
        self._next: asyncio.Future[HttpRequest] | None = None  # what it waits for between two calls
        self._calling = False
        self._fatal: Malformed | None = None
        self._reading = True
        self._room: asyncio.Future[None] | None = None
        self._sent = self._received = 0  # bytes
        self._mark = 0  # how many the client had taken or sent when its stage began
        self._looked = 0  # how many it had taken when we last looked, ...
        self._piece = 0  # bytes of the largest write that waits: it is in memory until its last byte is taken
        self._stalled = 0  # ... and the looks since which that has not changed
        self._stage = Stage.CALL
        self._replied = False  # the call has begun or given its answer
        self._streaming = False
        self._chunked = False
        self._bodyless = False  # the answer to HEAD
        self._undecided = False  # the stream is open, and nothing has come that is the answer or belongs to it
        self._every = 0.0  # seconds of silence of an event stream after which a comment is written; 0: never
        self._may_open = False
        self._in_event = False  # an answer in parts is written as the data of one event
        self.client = self._reader.client
        self._attends: dict[str, Attendance] = {}
        self.closed = False
        self.detach = False
        self.endless = False
        self.ending = False
        self.events = False  # the answer is an event stream that has begun and not ended
        self.held = 0
        self.cors = b""
        self.keep_alive = True
        self.deadline = NEVER

    def attend(self, attendance: Attendance, id: str) -> None:
        """The connection is used for a session of a local server, which this client has while it is open."""
        if id not in self._attends and len(self._attends) < MAX_ATTENDED and not self.closed:
            self._attends[id] = attendance
            attendance.enter(id)

    # --- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        shared = self._shared
        shared.metrics.listener_opened += 1
        peer = transport.get_extra_info("peername")
        self.client = self._reader.client = shared.clients.arrive(peer[0] if peer else "")
        refusal = shared.refusal(self.client)
        if refusal is not None:
            self._turn_away(refusal)
            return
        shared.connections.add(self)
        self._await_request()

    def data_received(self, data: bytes) -> None:
        """Read a request; what is none is answered, and the connection ends."""
        shared = self._shared
        shared.metrics.listener_bytes_received += len(data)
        if self._fatal is not None:
            return
        self._received += len(data)
        reader = self._reader
        try:
            unread = reader.feed(data)
        except Malformed as malformed:
            self._refuse(malformed)
            return
        if self._calling or self._room is not None:
            if unread and (reader.pending > MAX_PENDING or reader.holds_head):
                self._pause_reading()
        elif reader.behind:
            self._pause_reading()
            shared.later(self)
        else:
            self._await_request()
            if reader.in_body and reader.discards:
                self._pause_reading()
                shared.discard_slowly(self)

    def eof_received(self) -> bool:
        """A client that ends its side is gone."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the protocol's)
        """Cancel the call, or let it go on alone: the two eras want opposite things (design §1.11)."""
        self.closed = True
        self.deadline = NEVER
        shared = self._shared
        shared.connections.discard(self)
        shared.metrics.listener_closed += 1
        self._reader.abandon()
        self._make_room()
        for id, attendance in self._attends.items():
            attendance.leave(id)
        shared.clients.leave(self.client)
        worker = self._worker
        if worker is not None:
            shared.detached.add(worker)
            worker.add_done_callback(shared.detached.discard)
            if not (self._calling and self.detach):
                worker.cancel()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._room = self._shared.loop.create_future()
        self._stalled = 0
        self._enter(Stage.WRITE)
        self._count_held()

    def resume_writing(self) -> None:
        """There is room again."""
        self._make_room()
        if self._stage is Stage.WRITE:
            self._enter(Stage.CALL)
            if self._every:
                self.deadline = monotonic() + self._every
            if not self._calling and self._fatal is None and not self.closed:
                self._next_request()

    def keep_silence_short(self, every: float, since: float, *, may_open: bool) -> None:
        """Write a comment whenever the call's event stream has been silent for `every` seconds.

        `may_open`: an answer that has not begun `every` seconds after `since` is opened as an event stream then.
        """
        self._every = every
        self._may_open = may_open
        if self._stage is Stage.CALL:
            self.deadline = since + every

    # --- Reply ---------------------------------------------------------------------------------------------------

    def aside(self, chunk: bytes, headers: bytes = EVENT_HEADERS) -> None:
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
        head = STATUS_LINES[status], headers, self.cors, persistence, len(body)
        if len(body) > BULK and not self._bodyless:  # to copy it takes long
            self._write(b"%b%b%b%bcontent-length: %d\r\n\r\n" % head)
            self._write(body)
        else:
            self._write(b"%b%b%b%bcontent-length: %d\r\n\r\n%b" % (*head, b"" if self._bodyless else body))

    def no_content(self, headers: bytes) -> None:
        """An answer of status 204, which has no length (RFC 9110 §8.6)."""
        self._replied = True
        self._write(b"%b%b%b%b\r\n" % (STATUS_LINES[204], headers, self.cors, self._persistence()))

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
        self._write(b"%b%b%b%b%b\r\n" % (STATUS_LINES[status], headers, self.cors, framing, self._persistence()))

    def write(self, chunk: bytes) -> None:
        """A part of a stream."""
        if chunk and not self.closed:
            if self._every and self._stage is Stage.CALL:
                self.deadline = monotonic() + self._every
            if self._in_event and (b"\n" in chunk or b"\r" in chunk):
                chunk = chunk.translate(_ONE_LINE)
            if not self._chunked:
                self._write(chunk)
            elif len(chunk) > BULK:  # to copy it takes long
                self._write(b"%x\r\n" % len(chunk))
                self._write(chunk)
                self._write(b"\r\n")
            else:
                self._write(b"%x\r\n%b\r\n" % (len(chunk), chunk))

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
        reader = self._reader
        return self._calling or reader.in_body or reader.in_head or reader.pending > 0

    @property
    def idle_until(self) -> float:
        """When an idle connection has to make room for others; NEVER where it is not idle."""
        return self.deadline - Stage.IDLE.seconds + CROWDED_IDLE if self._stage is Stage.IDLE else NEVER

    def turn_away(self, cap: str) -> None:
        """Count that its call is refused because of a cap."""
        self._shared.turn_away(cap, self.client)

    def expire(self) -> None:
        """What this connection waits for has taken too long, unless enough of it has come meanwhile."""
        if self._stage is Stage.CALL:
            self._break_silence()
        elif self._stage is Stage.WRITE and self._room is not None:
            untaken = self._untaken()
            taken = self._sent - untaken
            if taken - self._mark >= max(LEAST_TAKEN, untaken // LEAST_TAKEN_SHARE):
                self._enter(Stage.WRITE)
            else:
                self.abort()
        elif self._stage is Stage.BODY and self._received - self._mark >= LEAST_SENT:
            self._enter(Stage.BODY)
        elif self._stage in (Stage.HEAD, Stage.BODY):
            self._refuse(Malformed(408, "timeout", "the request did not come in time"))
        else:
            self.abort()

    def look(self) -> None:
        """Memory is full: cut the connection if its client has taken nothing since some looks."""
        self._count_held()
        taken = self._sent - self._untaken()
        self._stalled = self._stalled + 1 if taken <= self._looked else 0
        self._looked = taken
        if self._stalled == STALLED:
            self._shared.turn_away("unread_answer", self.client)
            self.abort()

    def read_on(self) -> None:
        """Its turn to read what has come before."""
        reader = self._reader
        if self.closed or self._fatal is not None or self._calling or self._room is not None:
            return
        try:
            reader.read_on()
        except Malformed as malformed:
            self._refuse(malformed)
            return
        if reader.behind:
            self._shared.later(self)
            return
        if not self._calling:
            self._await_request()
        if reader.pending <= MAX_PENDING and not reader.holds_head:
            self._resume_reading()

    def resume(self) -> None:
        """Read on."""
        if not self.closed:
            self._resume_reading()

    def shut(self) -> None:
        """Close if idle; what is under way is finished first, and its answer says `connection: close`."""
        if not self.busy and self._fatal is None:
            self._close()

    def cut(self) -> None:
        """End the call now, with its handler's last words."""
        if not self._calling or self._worker is None:
            self._close()
        elif not self.ending:
            self.ending = True
            self._worker.cancel()

    # --- inside --------------------------------------------------------------------------------------------------

    def _break_silence(self) -> None:
        """A comment between two events, so that whoever is on the way to the client sees that the stream lives."""
        self.deadline = monotonic() + self._every
        if self._in_event or not (self.events or (self._may_open and not self._replied)):
            return
        self.aside(COMMENT)

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
        size = len(data)
        self._shared.metrics.listener_bytes_sent += size
        self._sent += size
        if self._transport is not None:
            self._transport.write(data)
            if self._room is not None:
                self._piece = max(self._piece, size)
                self._count_held()

    def _persistence(self) -> bytes:
        if self._shared.draining and not self._reader.pending:
            self.keep_alive = False
        return b"" if self.keep_alive else b"connection: close\r\n"

    def _enter(self, stage: Stage) -> None:
        self._stage = stage
        self.deadline = monotonic() + stage.seconds
        if stage is Stage.WRITE:
            self._mark = self._sent - self._untaken()
        elif stage is Stage.BODY:
            self._mark = self._received

    def _backlog(self) -> int:
        return self._transport.get_write_buffer_size() if self._transport is not None else 0

    def _untaken(self) -> int:
        """Bytes that the client has not taken: ours, and those in the socket, which takes some MB at once."""
        return self._backlog() + (_in_socket(self._transport) if self._transport is not None else 0)

    def _count_held(self) -> None:
        """Charge what the client does not take."""
        held = max(self._backlog(), self._piece) if self._room is not None else 0
        if held != self.held:
            self.client.charge(self._shared.answers, held - self.held)
            self.held = held

    def _make_room(self) -> None:
        if self._room is not None:
            if not self._room.done():
                self._room.set_result(None)
            self._room = None
            self._piece = 0
            self._count_held()

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

    def _next_request(self) -> None:
        """The call is over and its answer taken: the next one, or the wait for it."""
        reader = self._reader
        reader.free()
        if reader.behind:
            self._shared.later(self)
        else:
            self._await_request()
            self._resume_reading()

    def _deliver(self, request: HttpRequest) -> None:
        """A request's call begins."""
        self.keep_alive = request.keep_alive
        self._chunked = request.http11
        self._bodyless = request.head.method == b"HEAD"
        self._replied = self._streaming = self.events = self.detach = self.endless = self._undecided = False
        self._every = 0.0
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
                    self.whole(500, ERROR_HEADERS, error_body(None, INTERNAL_ERROR, "A defect in the gateway"))
            except asyncio.CancelledError:
                self._next = None
                self._worker = None  # whose exception holds the frames of the call: no ring that keeps them
                if request.held is not None:
                    request.held.release()
                self._finished()
                raise
            if request.held is not None:
                request.held.release()
            del request  # while the connection is idle, nothing of its last call stays in memory
            self._next = self._shared.loop.create_future()
            self._finished()
            if self.closed:
                return
            request = await self._next

    def _finished(self) -> None:
        """The call is over."""
        self._calling = False
        if self.closed:
            return
        if self._streaming or not self._replied:
            self.abort()  # cut or unanswered: whatever comes next would be taken for its rest
        elif not self.keep_alive or self.ending or (self._shared.draining and not self.busy):
            self._close()
        elif self._room is None:  # else when there is room
            self._next_request()

    def _close(self) -> None:
        """Close once everything is sent; a client that takes nothing is not waited for."""
        if self._transport is not None and not self._transport.is_closing():
            self._enter(Stage.WRITE)
            self._transport.close()

    def _turn_away(self, key: str) -> None:
        """One connection more than a cap allows: say so, and close at once, for the cap is about what is open."""
        self._fatal = Malformed(503, key, f"listener.{key} is reached")
        self.keep_alive = False
        self._shared.turn_away(key, self.client)
        reason = Reason.OVERLOADED
        body = fault_body(None, reason, f"Too many connections: listener.{key} is reached", delivered="no", attempts=0)
        self.whole(REASONS[reason].status, ERROR_HEADERS + b"retry-after: 1\r\n", body)
        self._close()

    def _refuse(self, malformed: Malformed) -> None:
        """Nothing that follows can be understood. Say what was wrong, and give its sender a moment to read it: to close
        with bytes unread is to reset."""
        self._fatal = malformed
        self._shared.metrics.refuse(malformed.reason)
        self._reader.abandon()
        self.keep_alive = self._replied = self._bodyless = False
        self.cors = b""  # of the request before, which may be another page's
        self.whole(malformed.status, ERROR_HEADERS, error_body(None, INVALID_REQUEST, malformed.message))
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


def _in_socket(transport: asyncio.Transport) -> int:
    """Bytes that the socket has taken from us and the client's has not; 0 where the system does not say."""
    found: socket.socket | None = transport.get_extra_info("socket")
    if found is None:
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(found.fileno(), termios.TIOCOUTQ, b"\0\0\0\0"))[0])
    except (OSError, ValueError):
        return 0
