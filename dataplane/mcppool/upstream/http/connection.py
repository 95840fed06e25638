"""One HTTP/1.1 connection to an endpoint: one exchange at a time.

A call is told once, in a callback: when the whole answer or the first part of a stream has come. `AwaitedAnswer` makes
a future of that. There are no timers for time-outs: the pool's sweep compares `deadline` with the time.
"""

from __future__ import annotations

import asyncio
import select
from time import monotonic
from typing import Final, Protocol, cast

from mcppool.flush_queue import flush_queue_of
from mcppool.sliced_writer import SlicedWriter
from mcppool.upstream.failures import AttemptFailed, BadAnswer, ConnectionLost, Hung, NotWritten, TimedOut
from mcppool.upstream.http.answer_reader import AnswerReader
from mcppool.upstream.http.answer_times import AnswerTimes, Clock
from mcppool.upstream.http.connection_state import ConnectionState
from mcppool.upstream.http.response import NEVER, AnswerTaker, Response

HOLD = 64 * 1024
"""Bytes of an answer that are held until it is whole, so that the gateway can retry after a broken one (design
§4.8)."""

STREAM_HIGH = 64 * 1024  # bytes of a stream that wait for the client before the gateway stops reading from the server

# Module constants, because each exchange uses them.
IDLE: Final = ConnectionState.IDLE
WAITING: Final = ConnectionState.WAITING
STREAMING: Final = ConnectionState.STREAMING
ANSWERED: Final = ConnectionState.ANSWERED
SPENT: Final = ConnectionState.SPENT
CLOSING: Final = ConnectionState.CLOSING
CLOSED: Final = ConnectionState.CLOSED


class ConnectionOwner(Protocol):
    """The pool that a connection belongs to."""

    def connection_released(self, connection: Connection) -> None:
        """The exchange is over and the connection can carry the next one."""

    def connection_closed(self, connection: Connection) -> None:
        """The connection is gone."""


class Connection(asyncio.Protocol):
    """A connection as the pool keeps it: idle, or leased for one exchange."""

    __slots__ = (
        "_early", "_out", "_paused", "_poll", "_queue", "_reader", "_taker", "_times", "_transport",
        "_unwritten", "answers", "bound", "carried", "deadline", "held", "keep_for", "last_used", "loop", "movable",
        "opened", "owner", "retire_at", "stale_at", "state", "tool", "used", "waiting_since",
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
        self.keep_for: float | None = None  # seconds that the server says it keeps an idle connection
        self.deadline = NEVER
        self.waiting_since = NEVER  # when the request was written, while no part of its answer has reached anybody
        self._early = False
        self.bound = False  # its call belongs to a session at this endpoint
        self.movable = False  # its call may go elsewhere if this endpoint proves to hang
        self.held = False  # the answer is a stream, and no part of it has reached anybody
        self._transport: asyncio.Transport | None = None
        self._out: asyncio.Transport | SlicedWriter | None = None  # gets the requests
        self._queue = flush_queue_of(loop)
        self._unwritten: bytes = b""  # a request that waits for the end of the turn
        self._reader = AnswerReader(self)
        self._times = AnswerTimes()
        self._poll: select.poll | None = None
        self._taker: AnswerTaker | None = None  # of the answer, until it has come
        self._paused = False

    # --- the exchange -------------------------------------------------------------------------------------------

    def request(
        self,
        taker: AnswerTaker,
        data: bytes,
        now: float,
        first_byte: float,
        stream_idle: float,
        total: float,
        end: float = NEVER,
        movable: bool = False,
        bound: bool = False,
        clock: Clock | None = None,
        body: bytes | None = None,
        early: bool = False,
    ) -> None:
        """Write one request, with its `body` where `data` does not contain it, and let `taker` have its answer.

        `first_byte` is the time by which the answer must have begun, `total` the time by which it must be whole or
        prove to be a stream. A held answer that has begun may pause for as long as its first byte may take. A stream
        may be silent for `stream_idle` seconds, and must have ended at `end`. `movable` allows `move`; `bound`: the
        request belongs to a session there; `early` hands over an event stream with its head, before its first event.
        None of these times passes while `clock` stands still.

        The lessee of the connection calls `release` when it is done with the answer, however that ended.
        """
        self._taker = taker
        self._early = early
        if early:
            self._reader.forget_head()
        self.deadline = self._times.begin(now, first_byte, stream_idle, total, end, clock)
        self.waiting_since = now
        self.movable = movable
        self.bound = bound
        self.used = True
        self.held = False
        if self.state < CLOSING:
            self.state = WAITING
        self._reader.expect(Response(self))
        transport, out = self._transport, self._out
        if self.state is not WAITING or transport is None or out is None or transport.is_closing():
            self._give_up(NotWritten("the connection was closed"))
        elif body:
            out.write(data)
            out.write(body)
        else:
            self._unwritten = data
            self._queue.add(self)

    def flush(self) -> None:
        """Write the request that waits for the end of the turn."""
        out, transport = self._out, self._transport
        if self._unwritten and out is not None and transport is not None and not transport.is_closing():
            data, self._unwritten = self._unwritten, b""
            out.write(data)

    def release(self) -> None:
        """Give the connection back. A connection whose answer was not read to its end cannot be used again: it is
        closed."""
        reader = self._reader
        response, reader.response = reader.response, None
        self.deadline = self.waiting_since = NEVER
        self._times.end()
        self._taker = None
        if self.state is ANSWERED or self.state is IDLE:
            if response is not None:
                self.answers += 1
            self.state = IDLE
            if self._paused:
                self.resume()
            self.owner.connection_released(self)
        elif self.state < CLOSING:
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
        stood = self._times.standstill()
        if stood > 0.0:
            self.deadline += stood
            return
        limit = self._times.passed(self.deadline, streaming=self.state is STREAMING)
        self.deadline = NEVER
        begun = self._reader.begun
        what = "the next part of the answer" if begun else "the answer"
        self._fail(TimedOut(f"{what} did not come in time ({limit})", answered=begun, limit=limit))
        self.close()

    def move(self) -> None:
        """The endpoint hangs: let the call go elsewhere, if it may and no part of its answer has reached anybody."""
        if self.movable and (self.state is WAITING or (self.state is STREAMING and self.held)):
            self._fail(Hung("the endpoint hangs: it does not answer its check", answered=self._reader.begun))
            self.close()

    def pause(self) -> None:
        """Stop reading: the client is behind."""
        if not self._paused and self.state is STREAMING and self._transport is not None:
            self._paused = True
            self._transport.pause_reading()

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
        """Read the answer; any bytes that answer no request end the connection."""
        if self._unwritten:
            self._fail(self._lost(None))
            self.close()
        else:
            self._reader.feed(data)

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
        response = self._reader.response
        end = CLOSED if self.state is CLOSING else ConnectionState.ENDED
        if response is not None and not response.complete:
            whole = exc is None and end is not CLOSED and self._reader.end()
            if not whole:
                end = CLOSED if end is CLOSED else ConnectionState.CUT
                self._fail(self._lost(exc))
        self._enter(end)
        self.owner.connection_closed(self)

    # --- for the reader of answers --------------------------------------------------------------------------------

    def head_received(self, response: Response) -> None:
        """Hand over an event stream before its first event, if the call wants it so."""
        if self._early and response.content_type == b"text/event-stream":
            self._enter(STREAMING)
            self.deadline = self.waiting_since = NEVER
            self._hand_over(response)

    def part_received(self, response: Response) -> None:
        """Hold a part of the body while the answer may still become whole; stream it otherwise."""
        if self.state is STREAMING:
            self.deadline = self._times.after_streamed_part()
            response.wake()
            if response.size > STREAM_HIGH:
                self.pause()
        elif response.content_type == b"text/event-stream" or response.size > HOLD:
            self._enter(STREAMING)
            self.waiting_since = NEVER
            self.deadline = self._times.after_streamed_part()
            self._hand_over(response)
            if response.size > STREAM_HIGH:
                self.pause()
        else:
            self.deadline = self._times.after_held_part()

    def answer_complete(self, response: Response, kept: bool) -> None:
        """Hand over a whole answer, or end a stream; `kept`: the server keeps the connection."""
        streaming = self.state is STREAMING
        if self.state < CLOSING:
            self.state = ANSWERED if kept else SPENT
        self.deadline = NEVER
        if streaming:
            response.wake()
            return
        chunks = response.chunks
        response.whole = True
        response.body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        self._hand_over(response)

    def reject(self, why: str) -> None:
        """The answer breaks HTTP or a bound: fail the call, and close."""
        self._fail(BadAnswer(why))
        self.close()

    # --- inside -------------------------------------------------------------------------------------------------

    def _enter(self, state: ConnectionState) -> None:
        """The only transition. An end is final; only its cause may become known later."""
        if self.state < CLOSING or state > self.state:
            self.state = state

    def _hand_over(self, response: Response) -> None:
        """Give the answer to its call."""
        taker = self._taker
        if taker is not None:
            self._taker = None
            taker.answered(response)

    def _lost(self, exc: Exception | None) -> AttemptFailed:
        """The failure of a call whose connection cannot be used any more."""
        if self._unwritten:
            self._unwritten = b""
            return NotWritten("the connection ended before the request was written")
        return ConnectionLost(f"the connection broke: {exc or 'closed by the server'}", answered=self._reader.begun)

    def _fail(self, failure: AttemptFailed) -> None:
        response = self._reader.response
        if response is not None and not response.complete and response.failure is None:
            response.failure = failure
            response.wake()
        self._give_up(failure)

    def _give_up(self, failure: AttemptFailed) -> None:
        """Tell the call that there is no answer, unless it has got one."""
        taker = self._taker
        if taker is not None:
            self._taker = None
            taker.failed(failure)
