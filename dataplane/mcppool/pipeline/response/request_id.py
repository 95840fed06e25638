"""A request sent under an id of its own (design §1.3): a repetition, or one that follows another of the same id.

The first attempt may still be under way, and the protocol forbids to use an id again before its answer came. On a
connection that has just carried the same id, a server that answers twice would have its second answer taken for this
one's. The client's id is put back into whatever answers.
"""

from __future__ import annotations

from itertools import count

from mcppool.wire.envelope import RpcRequest, replace_id

_numbers = count()


class ReissuedRequest:
    """Attempt number `attempt` of a request: `body` carries `id`, which no other request has."""

    __slots__ = ("_original", "body", "id")

    def __init__(self, request: RpcRequest, body: bytes, attempt: int) -> None:
        self._original = request.id or b"null"
        self.id = b'"mcppool-%d-%x"' % (attempt, next(_numbers))
        self.body = replace_id(body, self.id)

    def restore(self, message: bytes) -> bytes:
        """An answer with the client's own id."""
        return replace_id(message, self._original)
