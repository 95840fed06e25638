"""The reply to a call that access rules refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.outcome import Outcome
from mcppool.policy.access_request import Decision, Request
from mcppool.wire.era import MODERN
from mcppool.wire.errors import (
    INTERNAL_ERROR,
    INVALID_PARAMS,
    METHOD_NOT_FOUND,
    REASONS,
    RESOURCE_NOT_FOUND,
    Reason,
    error_body,
    fault_body,
)
from mcppool.wire.media_types import ERROR_HEADERS

Challenge = Callable[[tuple[str, ...], bytes], bytes]
"""The header line that asks a client for a token with some scopes, for a request at some path."""

_NO_STORE: Final = b"cache-control: no-store\r\n"


def answer_denied(
    call: Call,
    reply: Reply,
    outcome: Outcome,
    request: Request,
    decision: Decision,
    denied: str,
    challenge: Challenge | None,
) -> None:
    """Refuse the call; `denied` is `access.denied`."""
    outcome.status = "rejected"
    if denied == "step_up":
        denied = "scopes" if decision.missing else "unknown"
    if call.verb == b"POST" and call.request.id is None:  # its sender hears nothing more
        reply.whole(202, b"", b"")
    elif denied == "unknown":
        _answer_unknown(call, reply, outcome, request)
    else:
        reason = Reason.INSUFFICIENT_SCOPE if denied == "scopes" else Reason.ACCESS_DENIED
        meaning = REASONS[reason].meaning
        message = f"{meaning} ({' '.join(decision.missing)})" if denied == "scopes" else meaning
        outcome.code = INTERNAL_ERROR
        body = fault_body(call.request.id, reason, message, delivered="no", attempts=0)
        headers = ERROR_HEADERS
        if denied == "scopes" and challenge is not None:  # include the old scopes, or the next token lacks them
            headers += challenge(tuple(sorted(call.principal.scopes | set(decision.missing))), call.path)
        reply.whole(403, headers, body)


def _answer_unknown(call: Call, reply: Reply, outcome: Outcome, request: Request) -> None:
    """Reply as if the tool, prompt or resource did not exist."""
    if call.verb != b"POST":
        reply.whole(405, b"allow: POST\r\n" + _NO_STORE, b"")
        return
    name = request.name or ""
    data: dict[str, str] | None = None
    status = 400
    if request.kind == "tool":
        code, message = INVALID_PARAMS, f"Unknown tool: {name}"
    elif request.kind == "prompt":
        code, message = INVALID_PARAMS, f"Unknown prompt: {name}"
    elif request.kind == "resource":
        code, message = INVALID_PARAMS if call.era is MODERN else RESOURCE_NOT_FOUND, "Resource not found"
        data = {"uri": name}
    else:
        code, message, status = METHOD_NOT_FOUND, "Method not found", 404
    outcome.code = code
    body = error_body(call.request.id, code, message, data)
    reply.whole(status if call.era is MODERN else 200, ERROR_HEADERS, body)
