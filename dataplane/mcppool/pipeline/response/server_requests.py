"""Requests of a server to its client (sampling, elicitation, roots), and the client's answers.

An answer goes to the server that asked. If the session has moved since, the answer is dropped: the question is gone.
"""

from __future__ import annotations

from time import monotonic

import msgspec

from mcppool.pipeline.peers import Peers, SessionEvent
from mcppool.pipeline.plan import Plan
from mcppool.pipeline.sessions.sealed_ids import Sessions
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.streams import Home
from mcppool.wire.members import readable
from mcppool.wire.message_ids import canonical_id, replace_id
from mcppool.wire.places import replace_at
from mcppool.wire.rpc_response import RpcResponse

GONE = b""
"""In place of the id of a question whose server is no longer the session's home."""


class _Id(msgspec.Struct):
    id: msgspec.Raw


class _CancelledParams(msgspec.Struct):
    requestId: msgspec.Raw  # noqa: N815 (the wire's spelling)


class _Cancelled(msgspec.Struct):
    params: _CancelledParams


_id = msgspec.json.Decoder(_Id).decode
_cancelled = msgspec.json.Decoder(_Cancelled).decode


def show(session: Session, home: Home, message: RpcResponse, data: bytes, asked: list[bytes]) -> bytes:
    """A server's request or notification in the form for the session's client; ids of requests are added to `asked`."""
    if message.kind == "request":
        shown = session.streams.ask(message.id or b"null", home, monotonic(), moved=session.moved)
        asked.append(shown)
        return data if shown == message.id else replace_id(data, shown)
    if message.method == "notifications/cancelled" and (id := cancelled_id(data)) is not None:
        found = session.streams.withdraw_from(home, id, monotonic())
        return data if found in (None, id) else replace_at(data, ("params", "requestId"), found or b"null")
    return data


class ClientAnswers:
    """The answers of the clients of one pool. `peers` are the other processes of the gateway, None if it has one
    process: a question may have passed through any of them."""

    def __init__(self, sessions: Sessions, peers: Peers | None) -> None:
        self._sessions = sessions
        self._peers = peers
        if peers is not None:
            peers.on_session_event(SessionEvent.ANSWERED, self._comes_elsewhere)

    async def take(self, session: Session, plan: Plan) -> bool:
        """Put the answer of a plan into the form for the server that asked; returns False if that is no longer the
        session's home."""
        try:
            shown = canonical_id(bytes(_id(readable(plan.body)).id))
        except ValueError:
            return True
        asked_as = _take(session, shown)
        if asked_as is None and self._peers is not None:
            asked_as = await self._peers.ask_others(SessionEvent.ANSWERED, session.token, session.principal, shown)
        if asked_as is not None and asked_as not in (shown, GONE):
            plan.body = replace_id(plan.body, asked_as)
        return asked_as != GONE

    def _comes_elsewhere(self, token: str, principal: str, shown: bytes) -> bytes | None:
        """See `OnSessionEvent`. The process that has the answer sends it to the server."""
        session = self._sessions.known(token, principal)
        return _take(session, shown) if session is not None else None


def _take(session: Session, shown: bytes) -> bytes | None:
    """The id at the server of a question that the client answers; None if this process did not pass it on."""
    question = session.streams.answered(shown, monotonic())
    if question is None:
        return None
    return question.id if question.home == session.home else GONE


def cancelled_id(body: bytes) -> bytes | None:
    """The request id in a `notifications/cancelled`."""
    try:
        return canonical_id(bytes(_cancelled(readable(body)).params.requestId))
    except ValueError:
        return None
