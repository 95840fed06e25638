"""`notifications/cancelled` of a legacy client, which names the client's id of a call (modern clients close the
stream).

The call may have another id by now, be at another endpoint or in another process of the gateway, or not be sent yet.
The gateway does not answer a cancelled call itself: its client has forgotten the id. A server's answer passes, as it
does without a gateway.
"""

from __future__ import annotations

from time import monotonic

from mcppool.pipeline.call import Call, Reply
from mcppool.pipeline.outcome import Outcome, Underway
from mcppool.pipeline.peers import Peers, SessionEvent
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.response.server_requests import cancelled_id
from mcppool.pipeline.sessions.sealed_ids import Sessions
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.settings import Settings
from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http.awaited_answer import AwaitedAnswer
from mcppool.wire.places import replace_at

METHOD = "notifications/cancelled"
GRACE = 5.0  # seconds that the server may still answer a cancelled call
NOT_SENT = b""


class Cancellations:
    """The cancellations of one pool. `peers` are the other processes of the gateway, None if it has one process."""

    def __init__(self, settings: Settings, sessions: Sessions, peers: Peers | None) -> None:
        self._settings = settings
        self._sessions = sessions
        self._peers = peers
        if peers is not None:
            peers.on_session_event(SessionEvent.CANCELLED, self._comes_elsewhere)

    async def serve(self, call: Call, plan: Plan, session: Session, reply: Reply, outcome: Outcome) -> bool:
        """Cancel the call that the client names, and answer `call`. Returns False if `call` cancels nothing here: then
        it goes to the server, by `plan` with the id that the call has there."""
        id = cancelled_id(call.body) if call.request.method == METHOD else None
        if id is None:
            return False
        target = session.streams.in_flight(id)
        if target is not None:
            await _cancel(target, call, reply, outcome, self._patience)
            return True
        if self._peers is None:
            return False
        sent_as = await self._peers.ask_others(SessionEvent.CANCELLED, session.token, session.principal, id)
        if sent_as == NOT_SENT:
            outcome.status = "success"
            reply.whole(202, b"", b"")
            return True
        if sent_as is not None and sent_as != id:
            plan.body = replace_at(plan.body, ("params", "requestId"), sent_as)
        return False

    def _comes_elsewhere(self, token: str, principal: str, id: bytes) -> bytes | None:
        """See `OnSessionEvent`. The process that has the notification sends it to the server."""
        session = self._sessions.known(token, principal)
        target = session.streams.in_flight(id) if session is not None else None
        if target is None:
            return None
        target.cancelled = True
        attempt = target.attempt
        if attempt is None or attempt.connection is None:
            return NOT_SENT
        _limit(attempt, self._patience + GRACE)
        return id if attempt.reissue is None else attempt.reissue.id

    @property
    def _patience(self) -> float:
        """Seconds in which a server must acknowledge a notification."""
        return self._settings.spec.health_check.timeout


async def _cancel(target: Outcome, call: Call, reply: Reply, outcome: Outcome, timeout: float) -> None:
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
        _limit(attempt, GRACE)
    reply.whole(202, b"", b"")


def _limit(attempt: Underway, seconds: float) -> None:
    """The server may answer a cancelled attempt within so many seconds, if it is still in flight."""
    connection = attempt.connection
    if connection is not None:
        connection.deadline = min(connection.deadline, monotonic() + seconds)


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
