"""A client resumes the stream of a call, maybe before the gateway has noticed the end of its last connection.

A server holds the rest of a stream back until that stream has ended. So the gateway ends it, in whichever of its
processes it is still open.
"""

from __future__ import annotations

from mcppool.pipeline.peers import Peers, SessionEvent
from mcppool.pipeline.sessions.sealed_ids import Sessions
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.streams import SessionStreams


class Resumptions:
    """The resumptions of one pool. `peers` are the other processes of the gateway, None if it has one process."""

    def __init__(self, sessions: Sessions, peers: Peers | None) -> None:
        self._sessions = sessions
        self._peers = peers
        if peers is not None:
            peers.on_session_event(SessionEvent.RESUMED, self._begins_elsewhere)

    async def begin(self, session: Session, event: bytes) -> bytes | None:
        """End the stream that had this event. Returns the id of its request, None if no process knows it."""
        request = _end_stream(session.streams, event)
        if request is None and self._peers is not None:
            request = await self._peers.ask_others(SessionEvent.RESUMED, session.token, session.principal, event)
        return request

    def _begins_elsewhere(self, token: str, principal: str, event: bytes) -> bytes | None:
        session = self._sessions.known(token, principal)
        return _end_stream(session.streams, event) if session is not None else None


def _end_stream(streams: SessionStreams, event: bytes) -> bytes | None:
    request = streams.unanswered(event)
    call = streams.in_flight(request) if request is not None else None
    if call is not None and call.resumable is not None and call.attempt is not None:
        connection = call.attempt.connection
        if connection is not None:
            call.cancelled = True  # its end is no failure of the server
            connection.close()
    return request
