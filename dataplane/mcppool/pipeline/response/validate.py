"""Validation of a server's answer, before a client gets any of it."""

from __future__ import annotations

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.local_reply.rejection import server_error, with_eras
from mcppool.pipeline.routing.pins import issues
from mcppool.pipeline.tool_pins import PinnedTools
from mcppool.spec.urls import redacted_url
from mcppool.upstream.failures import BadAnswer, Redirected, ServerFault, ServerRefused, SessionRejected
from mcppool.upstream.http.response import Response
from mcppool.upstream.http.retry_after import asked_to_wait
from mcppool.wire.errors import INTERNAL_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND, BadEnvelope
from mcppool.wire.media_types import JSON
from mcppool.wire.rpc_response import RpcResponse, parse_response

_ABOUT_THE_REQUEST = frozenset({METHOD_NOT_FOUND, INVALID_PARAMS})
REQUEST_TIMEOUT = 408
REDIRECTS = frozenset({300, 301, 302, 303, 305, 307, 308})
MAX_LOCATION = 300  # bytes of a Location in the log
SESSION_UNKNOWN = -32000  # with HTTP 400, the answer of TypeScript servers to an unknown session (design §1.12)


def demand_status(attempt: Attempt, response: Response) -> None:
    """The HTTP status decides first: raises Redirected, ServerFault or ServerRefused (design §4.2). Any other 4xx is an
    answer."""
    status = response.status
    if status < 300:
        return
    if status < 400:
        if status in REDIRECTS:
            raise Redirected(status, _shown(response.header(b"location")))
        raise BadAnswer(f"HTTP {status}")
    if status in attempt.context.settings.spec.retry_policy.refused_statuses:
        raise ServerRefused(status, asked_to_wait(response))
    if status >= 500 or status == REQUEST_TIMEOUT:  # 408: the request did not reach the server in time
        raise ServerFault(status, asked_to_wait(response))


def _shown(location: bytes | None) -> str | None:
    """A Location for the log: bounded, and without parts that may be secret."""
    if location is None:
        return None
    return redacted_url(location[:MAX_LOCATION].decode("ascii", "replace"))


def demand_session(response: Response, body: bytes, wanted: bytes | None) -> None:
    """Raise SessionRejected if the server says that it does not know the session; `wanted` is the request's id.

    A 404 with an error about the method or its parameters, under the request's own id, is about the request: the server
    has looked past the session.
    """
    status = response.status
    if status not in (400, 404):
        return
    try:
        message = parse_response(body)
    except BadEnvelope:
        message = None
    code = message.error_code if message is not None and message.is_error else None
    if status == 404 and not (message is not None and message.id == wanted and code in _ABOUT_THE_REQUEST):
        own = server_error(response.content_type, body)
        told = response.header(b"mcppool-session")
        raise SessionRejected("HTTP 404", lost=told == b"lost", over=told == b"over", status=404, error=own)
    if status == 400 and code == SESSION_UNKNOWN:
        own = server_error(response.content_type, body)
        raise SessionRejected("HTTP 400, -32000", status=400, error=own)


def read_message(response: Response, body: bytes) -> RpcResponse:
    """The JSON-RPC message of a whole body. Raises BadAnswer if it is none."""
    if response.content_type != JSON:
        named = response.content_type.decode("latin-1") or "no content type"
        raise BadAnswer(f"HTTP {response.status} with {named} and no JSON-RPC answer")
    try:
        return parse_response(body)
    except BadEnvelope as error:
        raise BadAnswer(f"not JSON-RPC: {error.message}") from error


def read_event(data: bytes) -> RpcResponse:
    """The JSON-RPC message of an event. Raises BadAnswer."""
    try:
        return parse_response(data)
    except BadEnvelope as error:
        raise BadAnswer(f"an event that is not JSON-RPC: {error.message}") from error


def accept_answer(attempt: Attempt, status: int, message: RpcResponse, body: bytes) -> bytes:
    """Accept `message` as the answer to the request, note its kind in the outcome, and return its bytes for the client:
    with the client's own id, with pins. Raises BadAnswer if it answers another request."""
    call, reissue, outcome = attempt.call, attempt.reissue, attempt.outcome
    if message.kind != "response":
        raise BadAnswer(f"a {message.kind} instead of the answer")
    wanted = call.request.id if reissue is None else reissue.id
    if message.id != wanted:
        raise BadAnswer("the answer to another request")
    try:
        if reissue is not None:
            body = reissue.restore(body)
        if call.session is not None:
            attempt.context.sessions.note(call.session, call.request.method, call.body)
            if attempt.plan.conceal is not None and message.next_cursor is not None:
                body = attempt.context.pins.pin(attempt.endpoint, call.request, message, body, call.principal.key)
        elif issues(call.request, message):
            body = attempt.context.pins.pin(attempt.endpoint, call.request, message, body, call.principal.key)
    except BadEnvelope as error:  # a name occurs twice, or there are too many members
        raise BadAnswer(f"not JSON-RPC: {error.message}") from error
    if message.is_error:
        body = with_eras(attempt, body)
        outcome.status = "error"
        outcome.code = message.error_code
        outcome.internal_error = outcome.neutral = message.error_code == INTERNAL_ERROR
    else:
        outcome.status = "tool_error" if message.tool_error else "success"
    pinned = attempt.context.settings.pinned_tools
    if pinned is not None and call.request.method == "tools/list":
        body = _with_pinned_tools(attempt, pinned, body)
    outcome.size = len(body)
    if outcome.taker is not None:
        outcome.taker(status, message, body)
    if attempt.plan.conceal is not None and not message.is_error:  # after it was cached: others may see other parts
        body = attempt.plan.conceal(body)
        outcome.size = len(body)
    return body


def _with_pinned_tools(attempt: Attempt, pinned: PinnedTools, body: bytes) -> bytes:
    try:
        return pinned.visible(attempt.endpoint, body)
    except BadEnvelope as error:
        raise BadAnswer(f"not JSON-RPC: {error.message}") from error
