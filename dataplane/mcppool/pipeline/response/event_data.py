"""The bytes of an event for the client: its data may differ from the server's."""

from __future__ import annotations

from collections.abc import Sequence

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.response.server_requests import show
from mcppool.pipeline.sessions.session import Session
from mcppool.pipeline.sessions.streams import Home
from mcppool.upstream.failures import BadAnswer
from mcppool.wire.bulk import BULK, was_edited
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.rpc_response import RpcResponse
from mcppool.wire.sse import LARGE_EVENT, ONE_LINE
from mcppool.wire.sse_event import Event


def pinned_event(attempt: Attempt, event: Event, message: RpcResponse) -> Sequence[bytes]:
    """The same for a client without a session, with the endpoint's own values sealed. Raises BadAnswer."""
    data, call = event.data or b"", attempt.call
    try:
        pinned = attempt.context.pins.pin_event(attempt.endpoint, call.request, message, data, call.principal.key)
    except BadEnvelope as error:
        raise BadAnswer(f"an event that is not JSON-RPC: {error.message}") from error
    return with_data(event, pinned)


def shown_event(
    session: Session, home: Home, event: Event, message: RpcResponse, asked: list[bytes]
) -> Sequence[bytes]:
    """A server's request or notification in the form for the session's client; ids of requests are added to `asked`."""
    return with_data(event, show(session, home, message, event.data or b"", asked))


def joined(parts: Sequence[bytes]) -> Sequence[bytes]:
    """All of it in one piece, unless a part is so large that copying takes long."""
    for part in parts:
        if len(part) > LARGE_EVENT:
            return [each for each in parts if each]
    whole = b"".join(parts)
    return (whole,) if whole else ()


def with_data(event: Event, data: bytes) -> Sequence[bytes]:
    """The event with this data. If the data differs, its other lines stay; of a large event, only the meaningful
    ones."""
    if data is event.data and not was_edited(data):
        return (event.raw,)
    if len(data) <= BULK:
        return (_with_other_data(event, data),)
    lines = [b"id: %b\n" % event.id.encode()] if event.id is not None else []
    if event.retry is not None:
        lines.append(b"retry: %d\n" % event.retry)
    if b"\n" in data or b"\r" in data:
        data = data.translate(ONE_LINE)
    return (*lines, b"data: ", data, b"\n\n")


def _with_other_data(event: Event, data: bytes) -> bytes:
    lines: list[bytes] = []
    for line in event.raw.splitlines():
        if line.partition(b":")[0] != b"data":
            lines.append(line)
        elif data:
            lines += [b"data: %b" % part for part in data.split(b"\n")]
            data = b""
    return b"\n".join(lines) + b"\n"
