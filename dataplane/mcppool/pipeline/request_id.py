"""A request sent under an id of its own (design §1.3): a repetition, or one that follows another with the same id.

The first attempt may still be in flight, and the protocol forbids using an id again before its answer came. On a
connection that has just carried the same id, the second answer of a server that answers twice would be taken for the
answer to this request. The answer gets the client's id back.
"""

from __future__ import annotations

from itertools import count

from mcppool.turns import in_turns
from mcppool.wire.bulk import BULK
from mcppool.wire.message_ids import ID_FIRST, replace_id, splice_id
from mcppool.wire.places import replaced
from mcppool.wire.rpc_request import RpcRequest

_numbers = count()


async def reissue(request: RpcRequest, body: bytes, attempt: int) -> ReissuedRequest:
    """Attempt number `attempt` of a request."""
    small = reissue_small(request, body, attempt)
    if small is not None:
        return small
    id = b'"mcppool-%d-%d"' % (attempt, next(_numbers))
    return ReissuedRequest(request, id, await in_turns(replaced(body, ("id",), id)))


def reissue_small(request: RpcRequest, body: bytes, attempt: int) -> ReissuedRequest | None:
    """The same at once; None for a body of more than `BULK` bytes."""
    if len(body) > BULK:
        return None
    id = b'"mcppool-%d-%d"' % (attempt, next(_numbers))
    return ReissuedRequest(request, id, splice_id(body, request.id or b"", id) or replace_id(body, id))


class ReissuedRequest:
    """One attempt of a request: `body` carries `id`, which no other request has, in place of the `original` id."""

    __slots__ = ("body", "id", "original")

    def __init__(self, request: RpcRequest, id: bytes, body: bytes) -> None:
        self.original = request.id or b"null"
        self.id = id
        self.body = body

    def restore(self, message: bytes) -> bytes:
        """The answer, which has this id, with the client's own id."""
        id = self.id
        if len(message) <= BULK and message.count(id) == 1:  # otherwise the server may have repeated the member
            beginning = ID_FIRST + id
            if message.startswith(beginning):  # the id is a string, so it ends there
                return ID_FIRST + self.original + message[len(beginning) :]
            spliced = splice_id(message, id, self.original)
            if spliced is not None:
                return spliced
        return replace_id(message, self.original)
