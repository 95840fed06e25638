"""Values and members of messages as raw JSON, for the slow paths, which find the precise error."""

from __future__ import annotations

from typing import Literal

import msgspec

from mcppool.wire.errors import INVALID_REQUEST, PARSE_ERROR, BadEnvelope
from mcppool.wire.members import BOM, read_first, unique_members, why_unreadable, without_lone_surrogates

Kind = Literal["request", "notification", "response"]

_decode_any = msgspec.json.Decoder().decode


def envelope_members(body: bytes) -> dict[str, bytes]:
    """The members of a message. Raises BadEnvelope if it is no object."""
    if body.lstrip(b" \t\n\r").startswith(b"["):
        try:
            _decode_any(body)
        except (ValueError, RecursionError) as error:
            raise not_json(error) from None
        raise BadEnvelope(INVALID_REQUEST, "batches are not supported: send one message at a time", "batch")
    return read_first(unique_members, body)


def is_number(raw: bytes) -> bool:
    """Whether raw JSON is a number."""
    return raw[:1] in (b"-", b"0", b"1", b"2", b"3", b"4", b"5", b"6", b"7", b"8", b"9")


def text_in(raw: bytes | None) -> str | None:
    """The string in raw JSON; None if it is no string, or has half a surrogate pair: readers disagree on that, so no
    decision may depend on it."""
    if raw is None or not raw.startswith(b'"'):
        return None
    try:
        text: str = _decode_any(raw)
    except ValueError:
        return None
    return text


def task_id_in(raw: bytes | None) -> str | None:
    """``taskId`` of an object, None if it has none or is no object. Raises BadEnvelope if a name occurs twice."""
    return None if raw is None or not raw.startswith(b"{") else text_in(unique_members(raw).get("taskId"))


def mended(body: bytes, error: Exception) -> bytes:
    """A body that our parser refuses, without a leading byte order mark, for the slow path, which accepts halves of
    surrogate pairs. Raises BadEnvelope if `error` has another cause."""
    bare = body.removeprefix(BOM)
    if len(bare) == len(body) and without_lone_surrogates(body) == body:
        raise not_json(error) from None
    return bare


def check_utf8(body: bytes) -> None:
    """Raise BadEnvelope for bytes that are not UTF-8: msgspec does not check skipped values."""
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise not_json(error) from None


def not_json(error: Exception) -> BadEnvelope:
    """The error for a body that the parser refuses."""
    return BadEnvelope(PARSE_ERROR, why_unreadable(error), "not_json")
