"""One client's connection over HTTP/1.1: small, strict, one call at a time (design §9.2).

Pipelined requests wait for their turn and are answered in order. While one waits, or while the client does not take its
responses, nothing more is read.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import monotonic
from typing import Final, cast

from mcppool.gateway.http.attended_sessions import AttendedSessions
from mcppool.gateway.http.call_worker import CallWorker, Rest
from mcppool.gateway.http.client_certificate import ClientCertificate
from mcppool.gateway.http.connection_state import (
    AWAITING_TURN,
    CLOSED,
    CLOSING,
    ENDING,
    FLUSHING,
    IDLE,
    IDLE_TIMEOUT,
    LINGERING,
    NEVER,
    OUTLIVES_CLIENT,
    READING_BODY,
    READING_HEAD,
    SERVING,
    WITH_CLIENT,
    WRITE_TIMEOUT,
    ClientConnectionState,
)
from mcppool.gateway.http.connection_usage import ConnectionUsage
from mcppool.gateway.http.http_request import HttpRequest
from mcppool.gateway.http.inflow import Inflow
from mcppool.gateway.http.listener_context import ListenerContext
from mcppool.gateway.http.reader import RequestReader
from mcppool.gateway.http.refusals import refuse_connection, refuse_request
from mcppool.gateway.http.response_writer import ENDED, ResponseWriter
from mcppool.gateway.http.send_buffer import SendBuffer
from mcppool.gateway.http.validation import Malformed

MAX_PENDING: Final = 16 * 1024
"""Bytes after a request in progress that are read from the socket: enough to see a client disconnect."""
CROWDED_IDLE: Final = 5.0
"""Seconds after which an idle connection may be closed while few connections are left."""
_CALLING: Final = (SERVING, ENDING)
_OVER: Final = (LINGERING, CLOSING, CLOSED)

Handler = Callable[[HttpRequest, "HttpConnection"], Rest | None]
"""Begins the call of a request. It returns the rest of the call, or None if that is under way without a task."""


class HttpConnection(asyncio.Protocol):
    """Reads requests, lets the handler serve each, and lets it write to `response`.

    The handler of a call may set `lifetime`. `deadline` is the monotonic time at which `expire` is due. `usage` is
    the account that its use is counted on. `worker` runs its calls.
    """

    __slots__ = (
        "_buffer", "_certificate", "_connections", "_inflow", "_reader", "_shared", "_transport", "attended",
        "deadline", "lifetime", "response", "state", "usage", "worker",
    )  # fmt: skip

    def __init__(self, shared: ListenerContext, handler: Handler, connections: set[HttpConnection]) -> None:
        self._shared = shared
        self._connections = connections
        self._reader = RequestReader(shared.limits, self._deliver)
        self._buffer = SendBuffer(shared.metrics, shared.answers)
        self._transport: asyncio.Transport | None = None
        self._certificate: ClientCertificate | None = None
        self._inflow = Inflow()
        self.response = ResponseWriter(shared, self._reader, self._buffer)
        self.worker = CallWorker(shared.loop, handler, self)
        self.usage = ConnectionUsage(shared.clients, self._reader, self._buffer)
        self.attended = AttendedSessions()
        self.lifetime = WITH_CLIENT
        self.state = IDLE
        self.deadline = NEVER

    @property
    def busy(self) -> bool:
        """Whether a call is in flight, or a request waits or is coming."""
        return self.state in _CALLING or self._reader.busy

    @property
    def descriptor(self) -> int:
        """The file descriptor of its socket; -1 if it is closed."""
        socket = self._transport.get_extra_info("socket") if self._transport is not None else None
        return socket.fileno() if socket is not None else -1

    @property
    def certificate(self) -> ClientCertificate:
        """The client's certificate."""
        if self._certificate is None:
            self._certificate = ClientCertificate(self._transport)
        return self._certificate

    @property
    def ending(self) -> bool:
        """Whether the gateway has cancelled the call, and its client still waits for a final reply."""
        return self.state is ENDING

    @property
    def held(self) -> int:
        """Bytes of responses that wait for the client."""
        return self._buffer.held

    @property
    def idle_until(self) -> float:
        """When an idle connection may be closed to make room for others; NEVER if it is not idle."""
        return self.deadline - IDLE_TIMEOUT + CROWDED_IDLE if self.state is IDLE else NEVER

    # --- asyncio.Protocol ----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop has a class of its own
        shared = self._shared
        self._inflow.attach(self._transport)
        self._buffer.attach(self._transport, shared.loop, self._full, self._writable)
        shared.metrics.listener_opened += 1
        peer = transport.get_extra_info("peername")
        self.usage.arrive(peer[0] if peer else "")
        refusal = shared.refusal(self.usage.address)
        if refusal is not None:
            self._turn_away(refusal)
            return
        self._connections.add(self)
        self._enter(IDLE)

    def data_received(self, data: bytes) -> None:
        """Read requests. A malformed one is refused, and the connection closes."""
        shared = self._shared
        shared.metrics.listener_bytes_received += len(data)
        state = self.state
        if state is LINGERING or state is CLOSING or state is CLOSED:
            return
        self._inflow.received += len(data)
        reader = self._reader
        try:
            unread = reader.feed(data)
        except Malformed as malformed:
            self._refuse(malformed)
            return
        state = self.state
        if state is SERVING or state is ENDING or state is FLUSHING or state is AWAITING_TURN:
            if unread and (reader.pending > MAX_PENDING or reader.holds_head):
                self._inflow.pause()
        elif reader.behind:
            self._inflow.pause()
            shared.reads.read_later(self)
        else:
            self._await_request()
            if reader.in_body and reader.discards:
                self._inflow.pause()
                shared.reads.discard_later(self)

    def eof_received(self) -> bool:
        """A client that ends its side has disconnected."""
        return False

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 (the protocol's)
        """Cancel the call, or let it go on alone: the two eras require opposite things (design §1.11). Its stream ends
        if the client can resume it: a server gives the rest of a stream only when the stream has ended."""
        calling = self.state in _CALLING
        self._enter(CLOSED)
        self.response.cut()
        self._connections.discard(self)
        self._shared.metrics.listener_closed += 1
        self._reader.abandon()
        self._buffer.resume()
        self.attended.leave()
        self.usage.depart()
        outlives = calling and self.lifetime is OUTLIVES_CLIENT and not self.response.left_to_resume
        self.worker.client_gone(self._shared.detached, call_goes_on=outlives)

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        if self._buffer.transport_pauses():
            self._full()

    def resume_writing(self) -> None:
        """The client has taken enough."""
        if self._buffer.transport_resumes():
            self._writable()

    def _full(self) -> None:
        self._buffer.pause(self._shared.loop.create_future())
        if self.state in _CALLING or self.state is READING_BODY:  # the client does not read `100 Continue`
            self._watch_client()

    def _writable(self) -> None:
        self._buffer.resume()
        if self.state in _CALLING:
            self.deadline = self.response.next_look(monotonic())
        elif self.state is FLUSHING:
            self._next_request()
        elif self.state is READING_BODY:
            self._enter(READING_BODY)

    # --- for the handler and its worker ----------------------------------------------------------------------------

    def comment_on_silence(self, every: float, since: float, *, may_open: bool) -> None:
        """Write a comment whenever the call's event stream has been silent for `every` seconds.

        `may_open`: a response that has not begun `every` seconds after `since` is opened as an event stream then.
        """
        self.response.comment_on_silence(every, since, may_open=may_open)
        if self._buffer.room is None:
            self.deadline = since + every

    def call_ended(self) -> None:
        """The call is over: wait for the next request, or close."""
        state, response = self.state, self.response
        if state is CLOSED:
            return
        if response.state is not ENDED:
            response.abort()  # the client would take the next response for the rest of this one
            self._enter(CLOSING)
        elif not response.keep_alive or state is ENDING or (self._shared.draining and not self._reader.busy):
            self._close()
        elif self._buffer.room is None:
            self._next_request()
        else:  # the next request is read when the client has taken this response
            self._enter(FLUSHING)

    def turn_away(self, cap: str) -> None:
        """Count that the connection's call is refused because of a cap."""
        self._shared.turn_away(cap, self.usage.address)

    # --- for the listener ----------------------------------------------------------------------------------------

    def expire(self) -> None:
        """The deadline is over: end the connection, unless its client makes progress."""
        state = self.state
        if state is CLOSING or (self._buffer.room is not None and state is not LINGERING):
            if self._buffer.progresses():
                self._watch_client()
            else:
                self.response.abort()
        elif state in _CALLING:
            self.deadline = self.response.comment_if_silent(monotonic())
        elif state is READING_BODY and self._inflow.progresses():
            self._enter(READING_BODY)
        elif state is READING_HEAD or state is READING_BODY:
            self._refuse(Malformed(408, "timeout", "the request did not come in time"))
        else:
            self.response.abort()

    def look(self) -> None:
        """Memory is full: cut the connection if its client takes nothing."""
        self._buffer.charge()
        if self._buffer.stalls():
            self._shared.turn_away("unread_answer", self.usage.address)
            self.response.abort()

    def read_on(self) -> None:
        """Take a turn to read bytes that came earlier."""
        reader = self._reader
        if self.state in _OVER or self.state in _CALLING or self._buffer.room is not None:
            return
        try:
            reader.read_on()
        except Malformed as malformed:
            self._refuse(malformed)
            return
        if reader.behind:
            self._shared.reads.read_later(self)
            return
        if self.state not in _CALLING:
            self._await_request()
        if reader.pending <= MAX_PENDING and not reader.holds_head:
            self._inflow.resume()

    def resume(self) -> None:
        """Take more bytes from the socket."""
        if self.state is not CLOSED:
            self._inflow.resume()

    def shut(self) -> None:
        """Close if idle. Otherwise the call is finished first, and its response says `connection: close`."""
        if not self.busy and self.state is not LINGERING:
            self._close()

    def cut(self) -> None:
        """End the call now, with the handler's final reply."""
        if self.state is SERVING and self.worker.calling:
            self._enter(ENDING)
            self.worker.cancel()
        elif self.state is not ENDING:
            self._close()

    def abort(self) -> None:
        """Cut the connection, whatever its state."""
        self.response.abort()

    # --- states --------------------------------------------------------------------------------------------------

    def _enter(self, state: ClientConnectionState) -> None:
        """Go to a state, which sets the deadline."""
        self.state = state
        timeout = state.timeout
        if timeout is NEVER:
            self.deadline = NEVER
        elif timeout is not None:
            self.deadline = monotonic() + timeout
            if state is READING_BODY:
                self._inflow.watch()
            elif state is FLUSHING or state is CLOSING:
                self._buffer.watch()

    def _watch_client(self) -> None:
        """Give the client time to take a part of the waiting response."""
        self.deadline = monotonic() + WRITE_TIMEOUT
        self._buffer.watch()

    def _await_request(self) -> None:
        """Wait for the next part of a request. Bytes that complete no part do not move the deadline."""
        reader = self._reader
        state = READING_BODY if reader.in_body else READING_HEAD if reader.in_head else IDLE
        if state is not self.state:
            self._enter(state)
        if reader.expects:
            reader.expects = False
            self._buffer.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _next_request(self) -> None:
        """Read the next request: the call is over, and its response taken."""
        reader = self._reader
        reader.free()
        if reader.behind:
            self._enter(AWAITING_TURN)
            self._shared.reads.read_later(self)
        else:
            self.state = IDLE
            self.deadline = monotonic() + IDLE_TIMEOUT
            if self._inflow.paused:
                self._inflow.resume()

    def _deliver(self, request: HttpRequest) -> None:
        """Begin the call of a request."""
        self.response.start(request)
        self.lifetime = WITH_CLIENT
        self.state = SERVING
        self.deadline = NEVER
        self.worker.serve(request)

    def _close(self) -> None:
        """Close once the client has taken everything; a client that takes nothing is not waited for."""
        if self._transport is not None and self.state is not CLOSING and self.state is not CLOSED:
            self._enter(CLOSING)
            self._buffer.close()

    def _turn_away(self, key: str) -> None:
        """Refuse a connection over a cap, and close it at once: the cap is about open connections."""
        self._shared.turn_away(key, self.usage.address)
        refuse_connection(self.response, key)
        self._close()

    def _refuse(self, malformed: Malformed) -> None:
        """Refuse a malformed request, and close. Its sender gets a moment to read the error: a close with unread bytes
        resets the connection."""
        self._enter(LINGERING)
        self._shared.metrics.refuse(malformed.reason)
        self._reader.abandon()
        refuse_request(self.response, malformed)
        transport = self._transport
        if transport is None or not transport.can_write_eof():
            self._close()
            return
        self._buffer.flush()
        transport.write_eof()
        self._inflow.resume()
