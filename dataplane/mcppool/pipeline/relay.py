"""An endpoint's answer, passed on: whole, in parts, or event by event.

What is not the answer to this request raises AttemptFailed, as long as the client has got nothing of it: then another
attempt may be made. Once a part has gone downstream there is no retry; the stream is ended with an error in its own
form.
"""

from __future__ import annotations

from mcppool.observe.logs import get_logger
from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.exchange import EVENT_STREAM, JSON
from mcppool.pipeline.faults import fault_bytes
from mcppool.pipeline.judge import accept_answer, demand_session, demand_status, read_event, read_message
from mcppool.upstream.connection import Response
from mcppool.upstream.failures import AttemptFailed, BadAnswer, ConnectionLost
from mcppool.wire.era import Era
from mcppool.wire.headers import NOT_FORWARDED_DOWNSTREAM
from mcppool.wire.sse import Event, EventParser, EventTooLarge, render

MAX_ANSWER = 64 * 1024 * 1024  # bytes of an answer that is read whole although it is large
CLIENT_FAULTS = frozenset({404, 405, 406, 413, 415})  # statuses without an envelope that are about the client's request
_DROPPED = frozenset(name.encode() for name in NOT_FORWARDED_DOWNSTREAM)

log = get_logger("call")


def relay_whole(attempt: Attempt, response: Response, body: bytes) -> None:
    """Pass a complete answer on. Raises AttemptFailed where it is none."""
    demand_status(attempt, response)
    call, outcome, status = attempt.call, attempt.outcome, response.status
    if call.session is not None and status >= 400 and call.verb == b"POST":
        demand_session(response, body)
    if call.request.id is None:
        outcome.status = "success" if status < 400 else "error"
        attempt.reply.whole(status, header_lines(response), body)
        return
    message = read_message(response, body)
    if message is None:
        if status not in CLIENT_FAULTS:
            raise BadAnswer(f"HTTP {status} with {_content_type(response)} and no JSON-RPC answer")
        outcome.status = "error"
        attempt.reply.whole(status, header_lines(response), body)
        return
    body = accept_answer(attempt, status, message, body)
    headers = header_lines(response)
    if call.request.method == "initialize":
        headers += attempt.pool.sessions.opened(call, attempt.endpoint, response, body)
    attempt.reply.whole(status, headers, body)


async def relay_stream(attempt: Attempt, response: Response) -> None:
    """Pass on an answer that is still coming. Raises AttemptFailed while nothing of it has gone to the client."""
    demand_status(attempt, response)
    if response.content_type == EVENT_STREAM and attempt.call.request.id is not None:
        await _EventRelay(attempt, response).run()
    elif _must_be_whole(attempt, response):
        relay_whole(attempt, response, await _read_whole(response))
    else:
        await _relay_parts(attempt, response)


def _must_be_whole(attempt: Attempt, response: Response) -> bool:
    """Whether something in the body must be read or rewritten: an id, a session, an error, the cursor of a list, all of
    what may be kept."""
    method = attempt.call.request.method or ""
    if attempt.reissue is not None or response.status >= 400 or attempt.outcome.taker is not None:
        return True
    return method == "initialize" or method.endswith("/list")


async def _read_whole(response: Response) -> bytes:
    parts: list[bytes] = []
    size = 0
    while chunk := await response.next_chunk():
        size += len(chunk)
        if size > MAX_ANSWER:
            raise BadAnswer(f"an answer of more than {MAX_ANSWER} bytes")
        parts.append(chunk)
    return b"".join(parts)


async def _relay_parts(attempt: Attempt, response: Response) -> None:
    """A JSON body too large to hold."""
    reply, outcome = attempt.reply, attempt.outcome
    if response.content_type != JSON:
        raise BadAnswer(f"a large body of {_content_type(response)}")
    reply.begin(response.status, header_lines(response))
    outcome.status = "error"
    try:
        while chunk := await response.next_chunk():
            outcome.size += len(chunk)
            reply.write(chunk)
            await reply.drain()
    except AttemptFailed as failure:
        outcome.cut = failure
        log.event("answer_cut", pool=attempt.pool.name, endpoint=attempt.endpoint.key, detail=failure.detail)
        reply.abort()
        return
    outcome.status = "success"
    reply.end()


class _EventRelay:
    """A stream of events, until the answer has come and the stream has ended.

    The answer to `initialize` is held until it is there, for the head that goes before it carries the session's id.
    """

    def __init__(self, attempt: Attempt, response: Response) -> None:
        self._attempt = attempt
        self._response = response
        self._begun = False
        self._answered = False
        self._resumable = False  # an event had an id: a legacy client can come back for the rest
        self._opening = attempt.call.request.method == "initialize"
        self._extra = b""

    async def run(self) -> None:
        """Raises AttemptFailed while nothing has gone to the client."""
        parser = EventParser()
        held: list[bytes] = []
        try:
            while chunk := await self._response.next_chunk():
                held += [self._take(event) for event in parser.feed(chunk)]
                await self._pass_on(held)
            held += [self._take(event) for event in parser.finish()]
            await self._pass_on(held)
            if not self._answered and not self._may_be_resumed:
                raise ConnectionLost("the stream ended without an answer", answered=True)
        except (AttemptFailed, EventTooLarge) as error:
            failure = error if isinstance(error, AttemptFailed) else BadAnswer(str(error))
            if not self._begun:
                raise failure from None
            if not self._answered:
                self._cut(failure)
        self._attempt.reply.end()

    @property
    def _may_be_resumed(self) -> bool:
        """From 2025-11-25 on a server may end the connection and let the client come back with `Last-Event-ID`."""
        return self._begun and self._resumable and self._attempt.call.era is Era.LEGACY

    def _take(self, event: Event) -> bytes:
        """The bytes of an event as the client is to have them."""
        self._resumable = self._resumable or event.id is not None
        if not event.data or self._answered:
            return event.raw
        message = read_event(event.data)
        if message.kind != "response":
            return event.raw
        attempt = self._attempt
        data = accept_answer(attempt, self._response.status, message, event.data)
        self._answered = True
        if self._opening:
            self._extra = attempt.pool.sessions.opened(attempt.call, attempt.endpoint, self._response, data)
        return event.raw if data is event.data else _with_data(event, data)

    async def _pass_on(self, held: list[bytes]) -> None:
        if not held or (self._opening and not self._answered):
            return
        reply = self._attempt.reply
        if not self._begun:
            self._begun = True
            self._attempt.outcome.status = self._attempt.outcome.status if self._answered else "error"
            reply.begin(200, header_lines(self._response) + self._extra)
        reply.write(b"".join(held))
        held.clear()
        await reply.drain()

    def _cut(self, failure: AttemptFailed) -> None:
        attempt = self._attempt
        attempt.outcome.cut = failure
        log.event("stream_cut", pool=attempt.pool.name, endpoint=attempt.endpoint.key, detail=failure.detail)
        attempt.outcome.status = "error"
        attempt.reply.write(render(fault_bytes(attempt.call, failure, attempt.outcome)))


def _with_data(event: Event, data: bytes) -> bytes:
    """The event with other data; its type and its id stay."""
    id_line = b"" if event.id is None else b"id: %b\n" % event.id.encode()
    lines = b"".join(b"data: %b\n" % line for line in data.split(b"\n"))
    return b"event: %b\n%b%b\n" % (event.event.encode(), id_line, lines)


def _content_type(response: Response) -> str:
    return response.content_type.decode("latin-1") or "no content type"


def header_lines(response: Response) -> bytes:
    """The answer's own header lines that concern the client."""
    return b"".join([b"%b: %b\r\n" % line for line in response.headers if line[0] not in _DROPPED])
