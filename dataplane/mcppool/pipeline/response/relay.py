"""Passes an endpoint's answer on: whole, in parts, or event by event.

Anything but the answer to this request raises AttemptFailed, as long as the client has got nothing: then another
attempt may be made. Once a part has gone downstream there is no retry; the stream ends with an error in its own form.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Sequence
from time import monotonic

from mcppool.observe.logs import get_logger
from mcppool.pipeline.access.events import shows_event
from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.local_reply.faults import fault_bytes
from mcppool.pipeline.local_reply.rejection import acknowledge, answer_rejection, read_rejection
from mcppool.pipeline.response.server_requests import show
from mcppool.pipeline.response.single_event import relay_single_event
from mcppool.pipeline.response.validate import (
    ID_PART,
    accept_answer,
    demand_id_first,
    demand_id_last,
    demand_session,
    demand_status,
    read_event,
    read_message,
)
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.streams import Home
from mcppool.policy.memory_budget import Holding
from mcppool.turns import in_turns
from mcppool.upstream.failures import AttemptFailed, BadAnswer, ConnectionLost, NoMemory
from mcppool.upstream.http.connection import HOLD
from mcppool.upstream.http.response import Response
from mcppool.wire import tasks
from mcppool.wire.bulk import BULK, Bulk, read_in_slices, was_edited
from mcppool.wire.era import Era
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.media_types import EVENT_HEADERS, EVENT_STREAM, JSON, JSON_HEADERS
from mcppool.wire.rpc_response import RpcResponse
from mcppool.wire.sse import LARGE_EVENT, ONE_LINE, PIECE, Event, EventParser, EventTooLarge, read_large, render
from mcppool.wire.versions import RESUMABLE_VERSIONS

LINGER = 0.2  # seconds that a stream may take to end after its answer, so that its connection can be used again
COPIES = 2  # of a held answer, at the peak: in parts and whole
MAX_HELD = 1024 * 1024  # bytes of a stream before the answer to `initialize`, which are held

_ISSUED = re.compile(rb'"(?:taskId|requestState|input_required)"')
"""Members of a large answer that a client returns to the endpoint which issued them: looked for in its first `HOLD`
bytes, because the search takes as long as the way of the bytes."""

log = get_logger("call")


def relay_whole(attempt: Attempt, response: Response, body: bytes) -> None:
    """Pass a complete answer on. Raises AttemptFailed if it is not the answer."""
    call, outcome, status = attempt.call, attempt.outcome, response.status
    if status != 200:
        demand_status(attempt, response)
        if status >= 400:
            if call.session is not None and call.verb == b"POST":
                demand_session(response, body, call.request.id if attempt.reissue is None else attempt.reissue.id)
            answer_rejection(attempt, response, body)
            return
    if call.request.id is None:
        outcome.status = "success"
        acknowledge(call, attempt.reply, status)
        return
    message = read_message(response, body)
    body = accept_answer(attempt, status, message, body)
    headers = header_lines(response)
    if call.request.method == "initialize":
        headers += attempt.context.sessions.opened(call, attempt.endpoint, response, body)
    attempt.reply.whole(200, headers, body)


async def relay_stream(attempt: Attempt, response: Response) -> None:
    """Pass on an answer that is still coming. Raises AttemptFailed while nothing of it has gone to the client."""
    demand_status(attempt, response)
    if response.status >= 400:
        relay_whole(attempt, response, await read_rejection(response))
    elif attempt.call.request.id is None:  # its sender sees no part of the reply
        relay_whole(attempt, response, b"")
    elif response.content_type == EVENT_STREAM:
        await _relay_events(attempt, response)
    elif _must_be_whole(attempt):
        await _relay_read(attempt, response)
    else:
        await _relay_parts(attempt, response)


async def _relay_events(attempt: Attempt, response: Response) -> None:
    """An event stream; servers mostly send the answer as the first and only event."""
    chunk = await response.next_chunk()
    if response.whole or not relay_single_event(attempt, response, chunk):
        await _EventRelay(attempt, response).run(chunk)
        return
    if response.complete:
        return
    response.end_within(LINGER)
    with contextlib.suppress(AttemptFailed):  # the client has its answer
        await response.next_chunk()
    attempt.reply.end()


def _must_be_whole(attempt: Attempt) -> bool:
    """Whether the gateway must read or rewrite something in the body: an id, a session, the cursor of a list, a task, a
    cacheable answer."""
    method = attempt.call.request.method or ""
    if attempt.reissue is not None or (attempt.plan.kept is not None and attempt.outcome.taker is not None):
        return True  # a taker that only looks, for the workload, does without an answer in parts
    return method == "initialize" or method.endswith("/list") or method in tasks.METHODS


async def _relay_read(attempt: Attempt, response: Response, chunk: bytes = b"") -> None:
    """Read a complete JSON body of any size; `chunk` is the part that was already read."""
    most = attempt.context.settings.spec.limits.max_answer
    holding = Holding(attempt.context.account)
    body = Bulk()
    try:
        while chunk := chunk or await response.next_chunk():
            size = len(body) + len(chunk)
            if size > most:
                raise BadAnswer(f"an answer of more than {most} bytes (limits.max_answer)")
            if not holding.grow(COPIES * size):
                raise NoMemory
            body.extend(chunk)
            chunk = b""
        if len(body) > BULK:
            await in_turns(read_in_slices(body))
        relay_whole(attempt, response, body if len(body) > BULK else bytes(body))
    finally:
        holding.release()


async def _relay_parts(attempt: Attempt, response: Response) -> None:
    """A JSON body too large to hold."""
    reply, outcome = attempt.reply, attempt.outcome
    if response.content_type != JSON:
        raise BadAnswer(f"a large body of {_content_type(response)}")
    chunk = await response.next_chunk()
    if attempt.call.session is None and _ISSUED.search(chunk, 0, HOLD) is not None:
        await _relay_read(attempt, response, chunk)
        return
    known = demand_id_first(attempt, chunk)
    end = b""
    reply.begin(200, header_lines(response))
    outcome.status = "error"
    try:
        while chunk:
            outcome.size += len(chunk)
            reply.write(chunk)
            end = chunk[-ID_PART:] if len(chunk) >= ID_PART else (end + chunk)[-ID_PART:]
            await reply.drain()
            chunk = await response.next_chunk()
        if not known:
            demand_id_last(attempt, end)
    except AttemptFailed as failure:
        outcome.cut = failure.kept()
        pool = attempt.context.settings.name
        log.event("answer_cut", pool=pool, endpoint=attempt.endpoint.key, detail=failure.detail)
        reply.abort()
        return
    outcome.status = "success"
    reply.end()


class _EventRelay:
    """An event stream, until the answer has come.

    Comments, event ids and `retry` go to the client as they come. They decide nothing: until a message has gone to the
    client, another attempt may still give the answer. Events before the answer to `initialize` are held, because the
    head before them carries the session's id.
    """

    def __init__(self, attempt: Attempt, response: Response) -> None:
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

    async def run(self, chunk: bytes) -> None:
        """`chunk` is the first part of the stream. Raises AttemptFailed while no message has gone to the client."""
        parser = EventParser(self._attempt.context.settings.spec.limits.max_answer, in_steps=True)
        holding = Holding(self._attempt.context.account)
        try:
            while chunk and not self._answered:
                for events in parser.feed_in_steps(chunk):
                    await self._pass_on(events)
                    if len(chunk) > PIECE:
                        await asyncio.sleep(0)
                if not holding.fit(COPIES * parser.held):
                    raise NoMemory
                if self._answered:
                    self._response.end_within(LINGER)
                chunk = await self._response.next_chunk()
            await self._pass_on(parser.finish())
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
        self._answered = True
        if session is not None and self._asked:
            session.streams.withdraw(self._asked, monotonic())
        if self._opening:
            self._extra = attempt.context.sessions.opened(attempt.call, attempt.endpoint, self._response, data)
        return _with_data(event, data)

    async def _pass_on(self, events: list[Event]) -> None:
        held, reply = self._held, self._attempt.reply
        for event in events:
            if event.unread_from is not None and not self._answered:
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
            session.streams.ids.add(id, self._home)
        if session.claims.version in RESUMABLE_VERSIONS:
            self._attempt.outcome.resumable = last
            session.streams.unanswered.add(id, self._attempt.call.request.id or b"null")

    def _cut(self, failure: AttemptFailed) -> None:
        attempt = self._attempt
        attempt.outcome.cut = failure.kept()
        pool = attempt.context.settings.name
        log.event("stream_cut", pool=pool, endpoint=attempt.endpoint.key, detail=failure.detail)
        attempt.outcome.status = "error"
        if not attempt.outcome.resumable and not attempt.outcome.cancelled:  # otherwise the client expects no error
            attempt.reply.write(render(fault_bytes(attempt.call, failure, attempt.outcome)))


def pinned_event(attempt: Attempt, event: Event, message: RpcResponse) -> Sequence[bytes]:
    """The same for a client without a session, with the endpoint's own values sealed. Raises BadAnswer."""
    data, call = event.data or b"", attempt.call
    try:
        pinned = attempt.context.pins.pin_event(attempt.endpoint, call.request, message, data, call.principal.key)
    except BadEnvelope as error:
        raise BadAnswer(f"an event that is not JSON-RPC: {error.message}") from error
    return _with_data(event, pinned)


def shown_event(
    session: Session, home: Home, event: Event, message: RpcResponse, asked: list[bytes]
) -> Sequence[bytes]:
    """A server's request or notification in the form for the session's client; ids of requests are added to `asked`."""
    return _with_data(event, show(session, home, message, event.data or b"", asked))


def joined(parts: Sequence[bytes]) -> Sequence[bytes]:
    """All of it in one piece, unless a part is so large that copying takes long."""
    if any(len(part) > LARGE_EVENT for part in parts):
        return [part for part in parts if part]
    whole = b"".join(parts)
    return (whole,) if whole else ()


def _with_data(event: Event, data: bytes) -> Sequence[bytes]:
    """The event with this data. If the data differs, its other lines stay; of a large event, only the meaningful
    ones."""
    if data is event.data and not was_edited(data):
        return (event.raw,)
    if len(data) <= BULK:
        return (_with_other_data(event, data),)
    lines = [b"id: %b\n" % event.id.encode()] if event.id is not None else []
    if event.retry is not None:
        lines.append(b"retry: %d\n" % event.retry)
    if b"\n" in data or b"\r" in data:
        data = data.translate(ONE_LINE)
    return (*lines, b"data: ", data, b"\n\n")


def _with_other_data(event: Event, data: bytes) -> bytes:
    lines: list[bytes] = []
    for line in event.raw.splitlines():
        if line.partition(b":")[0] != b"data":
            lines.append(line)
        elif data:
            lines += [b"data: %b" % part for part in data.split(b"\n")]
            data = b""
    return b"\n".join(lines) + b"\n"


def _content_type(response: Response) -> str:
    return response.content_type.decode("latin-1") or "no content type"


def header_lines(response: Response) -> bytes:
    """The header lines of an answer for the client: the type of its body. Other headers of a server are about its own
    connection, or for its direct peer."""
    return EVENT_HEADERS if response.content_type == EVENT_STREAM else JSON_HEADERS
