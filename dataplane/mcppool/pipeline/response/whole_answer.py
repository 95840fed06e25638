"""Passes on an answer that has come whole."""

from __future__ import annotations

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.local_reply.rejection import acknowledge, answer_rejection
from mcppool.pipeline.response.validate import accept_answer, demand_session, demand_status, read_message
from mcppool.upstream.http.response import Response
from mcppool.wire.media_types import EVENT_HEADERS, EVENT_STREAM, JSON_HEADERS


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


def header_lines(response: Response) -> bytes:
    """The header lines of an answer for the client: the type of its body. Other headers of a server are about its own
    connection, or for its direct peer."""
    return EVENT_HEADERS if response.content_type == EVENT_STREAM else JSON_HEADERS
