"""Upper bounds on members of a message that are stored for a call's life, or repeated in logs and answers.

Members that are only passed on (arguments, results) are bounded by the size of the whole.
"""

from __future__ import annotations

from typing import Final

from mcppool.wire.rpc_request import RpcRequest

MAX_ID: Final = 1024
"""Bytes of a JSON-RPC id, as JSON."""
MAX_METHOD: Final = 256
"""Bytes of a method's name."""
MAX_NAME: Final = 16 * 1024
"""Maximum bytes of the object of a method: the name of a tool or prompt, the URI of a resource, the id of a task."""
MAX_PROGRESS_TOKEN: Final = 1024
"""Bytes of a progress token, as JSON."""
SMALL: Final = MAX_ID
"""A message of no more bytes than this has no member but its method over its bound."""


def oversized(message: RpcRequest) -> str | None:
    """Describe the member of a message that exceeds its bound; None if there is none."""
    id, method, name, token = message.id, message.method, message.name, message.progress_token
    if id is not None and len(id) > MAX_ID:
        return f"id has {len(id)} bytes; up to {MAX_ID} are allowed"
    if method is not None and len(method) > MAX_METHOD:
        return f"method has {len(method)} characters; up to {MAX_METHOD} are allowed"
    if name is not None and len(name) > MAX_NAME:
        return f"the name or URI has {len(name)} characters; up to {MAX_NAME} are allowed"
    if token is not None and len(bytes(token)) > MAX_PROGRESS_TOKEN:
        return f"_meta.progressToken has {len(bytes(token))} bytes; up to {MAX_PROGRESS_TOKEN} are allowed"
    return None


def repeatable_id(message: RpcRequest) -> bytes | None:
    """The id of a refused message, if it is small enough to be repeated."""
    return message.id if message.id is not None and len(message.id) <= MAX_ID else None
