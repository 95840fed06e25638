"""Passes on an answer that has come as the only event of a stream: it is judged as JSON is, without a reader of
events."""

from __future__ import annotations

from typing import Final

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.response.validate import accept_answer
from mcppool.upstream.http.response import Response
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.media_types import EVENT_HEADERS
from mcppool.wire.rpc_response import parse_response
from mcppool.wire.single_event import data_of
from mcppool.wire.sse import ONE_LINE

_LF: Final = 0x0A
_CR: Final = 0x0D


def relay_single_event(attempt: Attempt, response: Response, stream: bytes) -> bool:
    """Pass on a stream that is one event with the answer, so far or whole; otherwise return False: then nothing has
    happened yet. Raises AttemptFailed if the event answers another request."""
    call = attempt.call
    if response.status != 200 or call.request.id is None:
        return False
    if len(stream) > attempt.context.settings.spec.limits.max_answer:
        return False
    place = data_of(stream)
    if place is None:
        return False
    start, end = place
    data = stream[start:end]
    try:
        message = parse_response(data)
    except BadEnvelope:
        return False
    if message.kind != "response":
        return False
    answer = accept_answer(attempt, 200, message, data)
    headers = EVENT_HEADERS
    if call.request.method == "initialize":
        headers += attempt.context.sessions.opened(call, attempt.endpoint, response, answer)
    if answer is not data:
        if _LF in answer or _CR in answer:
            answer = answer.translate(ONE_LINE)
        stream = b"%b%b%b" % (stream[:start], answer, stream[end:])
    if response.complete:
        attempt.reply.whole_stream(headers, stream)
    else:
        attempt.reply.begin(200, headers, stream)
    return True
