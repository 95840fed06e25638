"""The answers to the requests of a health check: read from a body or a stream, as JSON-RPC."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import msgspec

from mcppool.upstream.failures import AttemptFailed, BadAnswer
from mcppool.upstream.http.response import Response
from mcppool.wire.errors import METHOD_NOT_FOUND
from mcppool.wire.members import UNREADABLE, readable
from mcppool.wire.sse import EventParser

MAX_BYTES = 4 * 1024 * 1024
"""Bytes of an answer to a check, or of a page of a list: it is read in one step, which takes 50 ms at the worst."""
MAX_VERSION = 32
"""Characters of a protocol version."""
MAX_TEXT = 300
"""Characters of a server's error message that the fault of a check shows."""
END_WAIT = 0.2  # seconds that a stream may take to end after its answer


class Message(msgspec.Struct):
    """A JSON-RPC answer."""

    id: msgspec.Raw = msgspec.Raw(b"null")
    result: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET


class ErrorObject(msgspec.Struct):
    """The `error` of a JSON-RPC answer."""

    code: int
    data: msgspec.Raw = msgspec.Raw(b"{}")
    message: object = ""


MESSAGE = msgspec.json.Decoder(Message)
ERROR = msgspec.json.Decoder(ErrorObject)


def shown_error(error: msgspec.Raw | msgspec.UnsetType) -> str:
    """`error CODE: MESSAGE` of an error that a server of MCP may give to a request that it knows; empty for any
    other."""
    try:
        seen = None if isinstance(error, msgspec.UnsetType) else ERROR.decode(error)
    except UNREADABLE:
        return ""
    if seen is None or seen.code == METHOD_NOT_FOUND:
        return ""
    words = " ".join(seen.message.split()) if isinstance(seen.message, str) else ""
    text = "".join(c for c in words if c.isprintable())
    return f"error {seen.code}: {text[:MAX_TEXT]}" if text else f"error {seen.code}"


def is_unknown_method(error: msgspec.Raw | msgspec.UnsetType) -> bool:
    """Whether an error says that the server does not know the method."""
    try:
        return not isinstance(error, msgspec.UnsetType) and ERROR.decode(error).code == METHOD_NOT_FOUND
    except UNREADABLE:
        return False


async def read_message(response: Response, wanted: bytes) -> bytes:
    """Return the JSON of the answer to the request id `wanted`, from a whole body or a stream.

    A stream is read to its end if that comes within `END_WAIT`: then its connection can be used again. Raises
    AttemptFailed.
    """
    parts: list[bytes] = []
    answer: bytes | None = None
    streamed = response.content_type == b"text/event-stream"
    parser = EventParser()
    size = 0
    while chunk := await response.next_chunk():
        size += len(chunk)
        if size > MAX_BYTES:
            raise BadAnswer(f"an answer of more than {MAX_BYTES} bytes")
        if not streamed:
            parts.append(chunk)
            continue
        for event in parser.feed(chunk):
            if event.data and answer is None:
                answer = event.data if _answers(event.data, wanted) else None
        if answer is not None:
            with suppress(TimeoutError, AttemptFailed):
                async with asyncio.timeout(END_WAIT):
                    while await response.next_chunk():
                        pass
            return readable(answer)
    if not streamed:
        return readable(b"".join(parts))
    if answer is None:
        raise BadAnswer("the stream ended without an answer")
    return readable(answer)


def _answers(data: bytes, wanted: bytes) -> bool:
    try:
        message = MESSAGE.decode(readable(data))
    except UNREADABLE as error:
        raise BadAnswer("an event that is not JSON") from error
    done = message.result is not msgspec.UNSET or message.error is not msgspec.UNSET
    return done and bytes(message.id) == wanted
