"""Requests of a server to its client (sampling, elicitation, roots), and the client's answers.

An answer goes to the server that asked. If the session has moved since, the answer is dropped: the question is gone.
"""

from __future__ import annotations

from time import monotonic

import msgspec

from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.streams import Home
from mcppool.wire.members import readable
from mcppool.wire.message_ids import canonical_id, replace_id
from mcppool.wire.places import replace_at
from mcppool.wire.rpc_response import RpcResponse


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


def take_answer(session: Session, body: bytes) -> bytes | None:
    """A client's answer in the form for the server that asked; None if that is no longer the session's home."""
    try:
        shown = canonical_id(bytes(_id(readable(body)).id))
    except ValueError:
        return body
    question = session.streams.answered(shown, monotonic())
    if question is None:
        return body
    if question.home != session.home:
        return None
    return body if shown == question.id else replace_id(body, question.id)


def cancelled_id(body: bytes) -> bytes | None:
    """The request id in a `notifications/cancelled`."""
    try:
        return canonical_id(bytes(_cancelled(readable(body)).params.requestId))
    except ValueError:
        return None
