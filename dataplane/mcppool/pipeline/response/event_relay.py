"""Passes on an event stream, event by event; a large answer in parts."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from time import monotonic
from typing import Final

from mcppool.observe.logs import get_logger
from mcppool.pipeline.access.events import shows_event
from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.local_reply.faults import fault_bytes
from mcppool.pipeline.response.event_data import joined, pinned_event, shown_event, with_data
from mcppool.pipeline.response.large_answer import may_pass_in_parts
from mcppool.pipeline.response.large_event import LargeEvent
from mcppool.pipeline.response.validate import accept_answer, read_event
from mcppool.pipeline.response.whole_answer import header_lines
from mcppool.policy.memory_budget import Holding
from mcppool.turns import in_turns
from mcppool.upstream.failures import AttemptFailed, BadAnswer, ConnectionLost, NoMemory
from mcppool.upstream.http.connection import HOLD
from mcppool.upstream.http.response import Response
from mcppool.wire.era import Era
from mcppool.wire.sse import PIECE, EventParser, EventTooLarge, read_large, render
from mcppool.wire.sse_event import Event
from mcppool.wire.versions import RESUMABLE_VERSIONS

LINGER: Final = 0.2
"""Seconds that a stream may take to end after its answer, so that its connection can be used again."""
COPIES: Final = 2
"""Copies of a held event, at the peak: in parts and whole."""
MAX_HELD: Final = 1024 * 1024
"""Bytes of a stream before the answer to `initialize`, which are held."""

log = get_logger("call")


class EventRelay:
    """An event stream, until the answer has come.

    Comments, event ids and `retry` go to the client as they come. They decide nothing: until a message has gone to the
    client, another attempt may still give the answer. Events before the answer to `initialize` are held, because the
    head before them carries the session's id.
    """

    def __init__(self, attempt: Attempt, response: Response, chunk: bytes) -> None:
        self._chunk = chunk  # the part of the stream to read next
        self._attempt = attempt
        self._response = response
        self._told = False  # a message has come
        self._begun = False  # and has gone to the client
        self._answered = False
        self._last_id: str | None = None
        self._opening = attempt.call.request.method == "initialize"
        self._held: list[bytes] = []
        self._asked: list[bytes] = []  # the ids of the server's questions to its client
        self._size = 0
        self._extra = b""
        self._home = attempt.call.session.home if attempt.call.session is not None else ("", "")
        self._in_parts = may_pass_in_parts(attempt)
        self._read_whole = not self._in_parts  # the event that is coming
        self._large: LargeEvent | None = None  # the last event that was passed on in parts

    async def run(self) -> None:
        """Pass the stream on. Raises AttemptFailed while no message has gone to the client."""
        parser = EventParser(self._attempt.context.settings.spec.limits.max_answer, in_steps=True)
        holding = Holding(self._attempt.context.account)
        try:
            while self._chunk and not self._answered:
                await self._read(parser)
                if parser.held > HOLD and not self._read_whole and not self._answered:
                    self._chunk = await self._pass_large(parser)
                if not holding.fit(COPIES * parser.held):
                    raise NoMemory
                if self._answered:
                    self._response.end_within(LINGER)
                self._chunk = self._chunk or await self._response.next_chunk()
            if last := parser.finish():
                await self._pass_on(last)
            if not self._answered and not self._may_be_resumed:
                raise ConnectionLost("the stream ended without an answer", answered=True)
        except (AttemptFailed, EventTooLarge) as error:
            failure = error if isinstance(error, AttemptFailed) else BadAnswer(str(error))
            if not self._begun:
                raise failure from None
            if not self._answered:
                self._cut(failure)
        finally:
            holding.release()
        self._attempt.reply.end()

    @property
    def _may_be_resumed(self) -> bool:
        """From 2025-11-25 on a server may end the connection and let the client come back with `Last-Event-ID`."""
        return bool(self._last_id) and not self._opening and self._attempt.call.era is Era.LEGACY

    def _take(self, event: Event) -> Sequence[bytes]:
        """The bytes of an event for the client; empty for events after the answer."""
        if self._answered:
            return ()
        if event.id is not None:
            self._last_id = event.id
        if not event.data:
            return (event.raw,)
        self._told = True
        if event.event != "message":  # clients do not take it for a message
            return (event.raw,)
        message = read_event(event.data)
        attempt = self._attempt
        session = attempt.call.session
        if message.kind != "response":
            if not shows_event(attempt.context.settings, attempt.call.principal, message.method, event.data):
                return ()
            if session is not None:
                return shown_event(session, self._home, event, message, self._asked)
            return pinned_event(attempt, event, message)
        data = accept_answer(attempt, self._response.status, message, event.data)
        self._accepted()
        if self._opening:
            self._extra = attempt.context.sessions.opened(attempt.call, attempt.endpoint, self._response, data)
        return with_data(event, data)

    def _accepted(self) -> None:
        """The answer has come."""
        self._answered = True
        session = self._attempt.call.session
        if session is not None and self._asked:
            session.streams.withdraw(self._asked, monotonic())

    async def _pass_on(self, events: list[Event]) -> None:
        held, reply = self._held, self._attempt.reply
        for event in events:
            self._read_whole = not self._in_parts
            if event.unread and not self._answered:
                event = await in_turns(read_large(event))
            for part in self._take(event):
                self._size += len(part)
                held.append(part)
        if not self._told or (self._opening and not self._answered):
            self._response.hold(True)
        if self._opening and not self._answered:
            if self._size > MAX_HELD:
                raise BadAnswer(f"more than {MAX_HELD} bytes before the answer to initialize")
            return
        parts = joined(held)
        held.clear()
        if not parts:
            return
        for part in parts:
            if not self._told:
                reply.aside(part, header_lines(self._response))
            elif self._begun:
                reply.write(part)
            else:
                self._begin(part)
        self._note_resumption()
        await reply.drain()

    async def _read(self, parser: EventParser) -> None:
        """Pass on the events of the next part of the stream."""
        chunk, self._chunk = self._chunk, b""
        for events in parser.feed_in_steps(chunk):
            await self._pass_on(events)
            if len(chunk) > PIECE:
                await asyncio.sleep(0)

    async def _pass_large(self, parser: EventParser) -> bytes:
        """Pass on in parts the large event that the parser has the beginning of, if that is possible; return the bytes
        behind it."""
        self._read_whole = True
        event = LargeEvent.of(self._attempt, self._response, parser.pending)
        if event is None:
            return b""
        parser.drop_pending()
        self._told = True
        self._large = event
        rest = await event.run(self._attempt.reply.write if self._begun else self._begin)
        if not event.ended:
            return b""
        if event.accept():
            self._accepted()
        elif event.id is not None:
            self._last_id = event.id
            self._note_resumption()
        self._read_whole = not self._in_parts
        return rest

    def _begin(self, part: bytes) -> None:
        self._begun = True
        self._response.hold(False)
        outcome = self._attempt.outcome
        outcome.status = outcome.status if self._answered else "error"
        self._attempt.reply.begin(200, header_lines(self._response) + self._extra, part)

    def _note_resumption(self) -> None:
        """The client has an event id: from now on it can come back for the rest."""
        session, last = self._attempt.call.session, self._last_id
        if not last or session is None or self._answered:
            return
        id = last.encode()
        if session.moved:
            session.streams.note_home(id, self._home)
        self._attempt.reply.resumable()
        if session.claims.version in RESUMABLE_VERSIONS:
            self._attempt.outcome.resumable = last
            session.streams.note_unanswered(id, self._attempt.call.request.id or b"null")

    def _cut(self, failure: AttemptFailed) -> None:
        attempt = self._attempt
        attempt.outcome.cut = failure.kept()
        pool = attempt.context.settings.name
        log.event("stream_cut", pool=pool, endpoint=attempt.endpoint.key, detail=failure.detail)
        attempt.outcome.status = "error"
        if not attempt.outcome.resumable and not attempt.outcome.cancelled:  # otherwise the client expects no error
            if self._large is not None and self._large.open:
                attempt.reply.write(self._large.void)
            attempt.reply.write(render(fault_bytes(attempt.call, failure, attempt.outcome)))
