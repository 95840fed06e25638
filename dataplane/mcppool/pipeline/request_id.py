"""A request sent under an id of its own (design §1.3): a repetition, or one that follows another with the same id.

The first attempt may still be in flight, and the protocol forbids using an id again before its answer came. On a
connection that has just carried the same id, the second answer of a server that answers twice would be taken for the
answer to this request. The answer gets the client's id back.
"""

from __future__ import annotations

from itertools import count
from secrets import token_hex
from typing import Final

from msgspec import Struct

from mcppool.turns import in_turns
from mcppool.wire.bulk import BULK
from mcppool.wire.message_ids import ID_FIRST, replace_id, splice_id
from mcppool.wire.places import replaced
from mcppool.wire.rpc_request import RpcRequest

OF_PROCESS: Final = token_hex(4).encode()
"""A part of each id that this process gives: other processes and gateways send requests of the same session to the
same server."""
_numbers = count()
_ID: Final = b'"mcppool-' + OF_PROCESS + b'-%d-%d~"'
OURS: Final = b'"mcppool-'
"""The beginning of each such id."""
_MARK: Final = 0x7E
"""A tilde, which each id of ours has: a message without another one has the id once. A search for one byte takes a
tenth of the time of a search for an id."""
_COMMA: Final = 0x2C


class ReissuedRequest(Struct, gc=False):
    """One attempt of a request: `body` carries `id`, which no other request has, in place of the `original` id.

    `first` is how most writers begin a message with the original id, `first_of_ours` one with `id`.
    """

    original: bytes
    id: bytes
    body: bytes
    first: bytes
    first_of_ours: bytes

    def restore(self, message: bytes) -> bytes:
        """The answer, which has this id, with the client's own id."""
        if message.startswith(self.first_of_ours) and len(message) <= BULK:  # the id is a string, so it ends there
            rest = message[len(self.first_of_ours) :]
            if _MARK not in rest or self.id not in rest:  # otherwise the server may have repeated the member
                return self.first + rest
        elif len(message) <= BULK and message.count(self.id) == 1:
            spliced = splice_id(message, self.id, self.original)
            if spliced is not None:
                return spliced
        return replace_id(message, self.original)


async def reissue(request: RpcRequest, body: bytes, attempt: int) -> ReissuedRequest:
    """Attempt number `attempt` of a request."""
    small = reissue_small(request, body, attempt)
    if small is not None:
        return small
    id, original = _ID % (attempt, next(_numbers)), request.id or b"null"
    large = await in_turns(replaced(body, ("id",), id))
    return ReissuedRequest(original, id, large, ID_FIRST + original, ID_FIRST + id)


def reissue_small(request: RpcRequest, body: bytes, attempt: int) -> ReissuedRequest | None:
    """The same at once; None for a body of more than `BULK` bytes."""
    if len(body) > BULK:
        return None
    id, original = _ID % (attempt, next(_numbers)), request.id or b"null"
    first, first_of_ours = ID_FIRST + original, ID_FIRST + id
    at = len(first)
    if body.startswith(first) and body[at] == _COMMA:
        body = first_of_ours + body[at:]
    else:
        body = splice_id(body, original, id) or replace_id(body, id)
    return ReissuedRequest(original, id, body, first, first_of_ours)
