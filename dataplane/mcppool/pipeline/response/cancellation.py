"""`notifications/cancelled` of a legacy client, which names the client's id of a call (modern clients close the
stream).

The call may have another id by now, be at another endpoint, or not be sent yet. The gateway does not answer a cancelled
call itself: its client has forgotten the id. A server's answer passes, as it does without a gateway.
"""

from __future__ import annotations

from time import monotonic

from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.outcome import Outcome, Underway
from mcppool.pipeline.response.server_requests import cancelled_id
from mcppool.pipeline.sessions.session import Session
from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http.awaited_answer import AwaitedAnswer
from mcppool.wire.places import replace_at

METHOD = "notifications/cancelled"
GRACE = 5.0  # seconds that the server may still answer a cancelled call


def find_cancelled(session: Session, call: Call) -> Outcome | None:
    """The session's call in flight that `call` cancels."""
    id = cancelled_id(call.body) if call.request.method == METHOD else None
    return session.streams.in_flight(id) if id is not None else None


async def cancel(target: Outcome, call: Call, reply: Reply, outcome: Outcome, timeout: float) -> None:
    """Cancel `target`, wherever it is. The server has `timeout` seconds to acknowledge."""
    target.cancelled = True
    outcome.status = "success"
    attempt = target.attempt
    if attempt is not None and attempt.connection is not None:
        outcome.endpoint = attempt.endpoint
        outcome.attempts += 1
        try:
            await _deliver(attempt, call, timeout)
        except AttemptFailed:
            outcome.status = "error"
        connection = attempt.connection
        if connection is not None:  # it is still in flight
            connection.deadline = min(connection.deadline, monotonic() + GRACE)
    reply.whole(202, b"", b"")


async def _deliver(attempt: Underway, call: Call, timeout: float) -> None:
    """Use a new connection, because calls may hold all of the pool's. Raises AttemptFailed."""
    body = call.body
    if attempt.reissue is not None:
        body = replace_at(body, ("params", "requestId"), attempt.reissue.id)
    endpoint = attempt.endpoint
    head = endpoint.head.begin(call.query, call.on_behalf)
    data = b"POST%b%b%bcontent-length: %d\r\n\r\n" % (head, attempt.line, call.forward, len(body))
    connection = await endpoint.connections.open_stream()
    try:
        now = monotonic()
        until = now + timeout
        answer = AwaitedAnswer(connection.loop)
        connection.request(answer, data, now, until, timeout, until, body=body)
        await answer.future
    finally:
        connection.close()
