"""An endpoint's answer, judged and passed on: whole, or event by event.

What is not an answer to this request raises AttemptFailed, as long as the client has got nothing of it: then another attempt
may be made. Once a part has gone downstream there is no retry; the stream is ended with an error in its own form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcppool.observe.logs import get_logger
from mcppool.pipeline.exchange import EVENT_STREAM, JSON, Call, Reply
from mcppool.pipeline.faults import fault_bytes
from mcppool.pipeline.pins import issues
from mcppool.pipeline.sessions import note_state
from mcppool.upstream.connection import Response
from mcppool.upstream.failures import (
    AttemptFailed,
    BadAnswer,
    ConnectionLost,
    ServerFault,
    ServerRefused,
    SessionRejected,
)
from mcppool.wire.envelope import BadEnvelope, parse_response
from mcppool.wire.envelope import Response as Message
from mcppool.wire.errors import INTERNAL_ERROR
from mcppool.wire.headers import NOT_FORWARDED_DOWNSTREAM
from mcppool.wire.sse import Event, EventParser, EventTooLarge, render

if TYPE_CHECKING:
    from mcppool.pipeline.call import Outcome
    from mcppool.pipeline.pool import Pool
    from mcppool.pipeline.reissue import Reissue
    from mcppool.upstream.endpoint import Endpoint

NULL = b"null"
SESSION_UNKNOWN = -32000
CLIENT_FAULTS = frozenset({404, 405, 406, 413, 415})  # statuses without an envelope that are about the client's request
_DROPPED = frozenset(name.encode() for name in NOT_FORWARDED_DOWNSTREAM)

log = get_logger("call")


async def relay(
    pool: Pool,
    call: Call,
    endpoint: Endpoint,
    response: Response,
    reply: Reply,
    outcome: Outcome,
    reissue: Reissue | None,
) -> None:
    """Pass `response` on and note in `outcome` what it was. Raises AttemptFailed while nothing has gone to the client."""
    status = response.status
    if status >= 500:
        raise ServerFault(status, _retry_after(response))
    if status in pool.spec.retry_policy.refused_statuses:
        raise ServerRefused(status, _retry_after(response))
    if response.content_type == EVENT_STREAM and call.request.id is not None:
        await _relay_events(pool, call, endpoint, response, reply, outcome, reissue)
    elif response.complete:
        _relay_whole(pool, call, endpoint, response, response.body, reply, outcome, reissue)
    else:
        await _relay_large(pool, call, endpoint, response, reply, outcome, reissue)


def _relay_whole(
    pool: Pool, call: Call, endpoint: Endpoint, response: Response, body: bytes, reply: Reply, outcome: Outcome,
    reissue: Reissue | None,
) -> None:  # fmt: skip
    status = response.status
    if call.request.id is None:
        if call.session is not None and status in (400, 404) and call.verb == b"POST":
            _demand_session(status, body)
        outcome.status = "success" if status < 400 else "error"
        reply.whole(status, header_lines(response), body)
        return
    if call.session is not None and status in (400, 404):
        _demand_session(status, body)
    message = _parse(response, body)
    if message is None:
        if status not in CLIENT_FAULTS:
            raise BadAnswer(
                f"HTTP {status} with {response.content_type.decode('latin-1') or 'no content type'} and no JSON-RPC answer"
            )
        outcome.status = "error"
        reply.whole(status, header_lines(response), body)
        return
    _demand_answer(message, call, status, reissue)
    if reissue is not None and message.id != NULL:
        body = reissue.restore(body)
    if call.session is not None:
        note_state(call.session, call.request.method, call.body)
    elif issues(message):
        body = pool.pins.pin(endpoint, message, body)
    _note(outcome, message)
    outcome.size = len(body)
    headers = header_lines(response)
    if call.request.method == "initialize":
        headers += pool.sessions.opened(call, endpoint, response, body)
    reply.whole(status, headers, body)


async def _relay_large(
    pool: Pool,
    call: Call,
    endpoint: Endpoint,
    response: Response,
    reply: Reply,
    outcome: Outcome,
    reissue: Reissue | None,
) -> None:
    """A JSON body too large to hold: passed on as it comes, except where an id must be restored in it."""
    if reissue is not None or call.request.method == "initialize" or response.status >= 400:
        parts: list[bytes] = []
        size = 0
        while chunk := await response.next_chunk():
            size += len(chunk)
            if size > MAX_ANSWER:
                raise BadAnswer(f"an answer of more than {MAX_ANSWER} bytes")
            parts.append(chunk)
        _relay_whole(pool, call, endpoint, response, b"".join(parts), reply, outcome, reissue)
        return
    if response.content_type != JSON:
        raise BadAnswer(f"a body of {response.content_type.decode('latin-1') or 'no content type'}")
    reply.begin(response.status, header_lines(response))
    outcome.status = "error"
    try:
        while chunk := await response.next_chunk():
            outcome.size += len(chunk)
            reply.write(chunk)
            await reply.drain()
    except AttemptFailed as failure:
        endpoint.stats.failed(failure)
        log.event("answer_cut", pool=pool.name, endpoint=endpoint.key, detail=failure.detail)
        reply.abort()
        return
    outcome.status = "success"
    reply.end()


async def _relay_events(
    pool: Pool,
    call: Call,
    endpoint: Endpoint,
    response: Response,
    reply: Reply,
    outcome: Outcome,
    reissue: Reissue | None,
) -> None:
    """Event by event, until the answer has come and the stream has ended."""
    parser = EventParser()
    begun = answered = False
    opening = call.request.method == "initialize"  # the head carries the session id, so it waits for the answer
    extra = b""
    held: list[bytes] = []
    try:
        while chunk := await response.next_chunk():
            for event in parser.feed(chunk):
                raw = event.raw
                if event.data and not answered:
                    message = _parse_event(event)
                    if message.kind == "response":
                        _demand_answer(message, call, response.status, reissue)
                        answered = True
                        _note(outcome, message)
                        outcome.size = len(event.data)
                        data = event.data
                        if reissue is not None and message.id != NULL:
                            data = reissue.restore(data)
                        if call.session is not None:
                            note_state(call.session, call.request.method, call.body)
                        elif issues(message):
                            data = pool.pins.pin(endpoint, message, data)
                        if data is not event.data:
                            raw = _with_data(event, data)
                        if opening:
                            extra = pool.sessions.opened(call, endpoint, response, event.data)
                held.append(raw)
            if held and (answered or not opening):
                if not begun:
                    begun = True
                    reply.begin(200, header_lines(response) + extra)
                reply.write(b"".join(held))
                held.clear()
                await reply.drain()
        if not answered:
            raise ConnectionLost("the stream ended without an answer", answered=True)
    except (AttemptFailed, EventTooLarge) as error:
        failure = error if isinstance(error, AttemptFailed) else BadAnswer(str(error))
        if not begun:
            raise failure from None
        if answered:  # the client has its answer; only the end of the stream was not clean
            reply.end()
            return
        endpoint.stats.failed(failure)
        log.event("stream_cut", pool=pool.name, endpoint=endpoint.key, detail=failure.detail)
        outcome.status = "error"
        reply.write(render(fault_bytes(call, failure, outcome.attempts)))
    reply.end()


def _with_data(event: Event, data: bytes) -> bytes:
    """The event with other data; its type and its id stay."""
    id_line = b"" if event.id is None else b"id: %b\n" % event.id.encode()
    lines = b"".join(b"data: %b\n" % line for line in data.split(b"\n"))
    return b"event: %b\n%b%b\n" % (event.event.encode(), id_line, lines)


def _demand_session(status: int, body: bytes) -> None:
    """Raise SessionRejected where the server says that it does not know the session: 404, or 400 with -32000, as the
    TypeScript servers do (mcp-wire.md §6.2, 6)."""
    if status == 404:
        raise SessionRejected("HTTP 404")
    try:
        message = parse_response(body)
    except BadEnvelope:
        return
    if message.is_error and message.error_code == SESSION_UNKNOWN:
        raise SessionRejected("HTTP 400, -32000")


def _parse(response: Response, body: bytes) -> Message | None:
    """The JSON-RPC message of a whole body; None where there is none."""
    if response.content_type != JSON:
        return None
    try:
        return parse_response(body)
    except BadEnvelope as error:
        if response.status < 400:
            raise BadAnswer(f"not JSON-RPC: {error.message}") from error
        return None


def _parse_event(event: Event) -> Message:
    try:
        return parse_response(event.data or b"")
    except BadEnvelope as error:
        raise BadAnswer(f"an event that is not JSON-RPC: {error.message}") from error


def _demand_answer(message: Message, call: Call, status: int, reissue: Reissue | None) -> None:
    """`message` must be the answer to this request; an error may lack the id, where the server could not read it."""
    if message.kind != "response":
        raise BadAnswer(f"a {message.kind} where the answer should be")
    wanted = call.request.id if reissue is None else reissue.id
    if message.id != wanted and not (message.is_error and message.id == NULL and status >= 400):
        raise BadAnswer("the answer to another request")


def _note(outcome: Outcome, message: Message) -> None:
    if message.is_error:
        outcome.status = "error"
        outcome.internal_error = message.error_code == INTERNAL_ERROR
    else:
        outcome.status = "tool_error" if message.tool_error else "success"


def _retry_after(response: Response) -> float | None:
    """The seconds of a Retry-After header; its other form, a date, is of no use where clocks differ."""
    value = response.header(b"retry-after")
    return float(value) if value is not None and value.isdigit() and len(value) < 10 else None


def header_lines(response: Response) -> bytes:
    """The answer's own header lines that concern the client."""
    return b"".join([b"%b: %b\r\n" % h for h in response.headers if h[0] not in _DROPPED])


MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of an answer that is held whole although it is large: one whose id must be restored, an error, a handshake."""
