"""A JSON-RPC error in the form that a client of either era reads (design §5.2)."""

from __future__ import annotations

from math import ceil

from mcppool.pipeline.call import Call, Reply
from mcppool.wire.era import LEGACY
from mcppool.wire.media_types import ERROR_HEADERS


def send_error(
    call: Call, reply: Reply, status: int, body: bytes, *, headers: bytes = b"", retry_after: float | None = None
) -> None:
    """Answer the call with an error. A modern client gets `status`, and Retry-After if `retry_after` gives seconds.

    A legacy client gets 200: the 1.x SDK never reads the body of any other status.
    """
    if call.era is LEGACY:
        reply.whole(200, ERROR_HEADERS + headers, body)
        return
    if retry_after is not None:
        headers += b"retry-after: %d\r\n" % ceil(retry_after)
    reply.whole(status, ERROR_HEADERS + headers, body)
