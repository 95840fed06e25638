"""Ids in messages: their canonical form, and other values in their places."""

from __future__ import annotations

import json
from math import isfinite
from typing import Final

import msgspec

from mcppool.wire import versions
from mcppool.wire.errors import INVALID_REQUEST, BadEnvelope
from mcppool.wire.places import replace_at
from mcppool.wire.raw_values import is_number

_decode_any = msgspec.json.Decoder().decode
ID_FIRST: Final = b'{"jsonrpc":"2.0","id":'
"""The bytes before the id in the messages of most writers."""

_BRACE: Final = 0x7B
_encode = msgspec.json.Encoder().encode


def canonical_id(raw: bytes) -> bytes:
    """The canonical JSON of an id, so that ids compare as bytes: ``"a\\/b"`` is ``"a/b"``, ``1.0`` is ``1``.

    Peers may respell an id that they repeat. Raises ValueError if it is no JSON.
    """
    if b"\\" in raw:
        try:
            return _encode(_decode_any(raw))
        except ValueError:  # half a surrogate pair, which only the standard library accepts
            return json.dumps(json.loads(raw)).encode()
    if raw[0] in b"-0123456789" and not _is_integer(raw):
        number = float(raw)
        if number.is_integer() and abs(number) < 2**53:
            return b"%d" % number
        return repr(number).encode() if isfinite(number) else raw
    return b"0" if raw == b"-0" else raw


def replace_id(body: bytes, new_id: bytes) -> bytes:
    """The message with the raw JSON `new_id` as its id; every other byte stays. Raises BadEnvelope."""
    return replace_at(body, ("id",), new_id)


def splice_id(body: bytes, id: bytes, new_id: bytes) -> bytes | None:
    """`replace_id` for a message whose id is known to be `id`, without a second reading of the message.

    None if the id is not where writers usually put it: behind `jsonrpc` at the beginning, or at the end.
    """
    beginning = ID_FIRST + id
    if body.startswith(beginning):
        at = len(beginning)
        return ID_FIRST + new_id + body[at:] if body[at] in b",}" else None
    # The last brace closes the message itself, so the member before it is a member of the message.
    ending = b',"id":%b}' % id
    if not body.endswith(ending) or body[0] != _BRACE:
        return None
    return b'%b,"id":%b}' % (body[: -len(ending)], new_id)


def rewrite_ids(
    body: bytes,
    *,
    id: bytes | None = None,
    progress_token: bytes | None = None,
    subscription_id: bytes | None = None,
) -> bytes:
    """The message with the given values (raw JSON) in all places of the ids; None leaves a place unchanged, and absent
    places stay absent.

    The id: top level. The progress token: ``params._meta`` of requests and ``params`` of ``notifications/progress``.
    The subscription id, which is the listen request's id: ``_meta`` of notifications and of the listen result. Raises
    BadEnvelope.
    """
    if id is not None:
        body = replace_at(body, ("id",), id)
    if progress_token is not None:
        body = replace_at(body, ("params", "_meta", versions.META_PROGRESS_TOKEN), progress_token)
        body = replace_at(body, ("params", "progressToken"), progress_token)
    if subscription_id is not None:
        for part in ("params", "result"):
            body = replace_at(body, (part, "_meta", versions.META_SUBSCRIPTION_ID), subscription_id)
    return body


def request_id(raw: bytes) -> bytes:
    """The canonical form of a request's id. Raises BadEnvelope if it is neither a string nor a number."""
    if raw.isdigit():
        return raw
    if raw.startswith(b'"'):
        return canonical_id(raw) if b"\\" in raw else raw
    if is_number(raw):
        return canonical_id(raw)
    raise BadEnvelope(INVALID_REQUEST, "id must be a string or a number", "bad_id")


def _is_integer(raw: bytes) -> bool:
    return raw.removeprefix(b"-").isdigit()
