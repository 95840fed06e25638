"""The positions of the members of a JSON object, in bytes.

msgspec reads objects fast but reports neither the position of a value nor a repeated name. `spans` finds both without
another JSON parser: msgspec gives the length of each value, and `spans` walks from comma to comma.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, TypeVar

import msgspec

from mcppool.wire.errors import INVALID_REQUEST, PARSE_ERROR, BadEnvelope

UNREADABLE: Final = (msgspec.MsgspecError, ValueError, RecursionError)
"""Exceptions of a JSON reader for documents of others: not JSON, not UTF-8, or nested too deeply."""

MAX_MEMBERS: Final = 1000
"""Maximum number of members in an envelope, in ``params`` or in ``_meta``."""

_BRACKETS: Final = 500
SHALLOW: Final = 2 * _BRACKETS
"""Bytes of a document up to which its depth does not matter."""
_COUNTED: Final = 8 * 1024
"""Bytes of a document whose brackets are counted at once."""
_FEW: Final = 24
"""Brackets that are searched one by one in a larger one, because a search passes text twenty times as fast as a
count."""
_HEADROOM: Final = 48  # stack frames: later readers are about a dozen below the first one

_T = TypeVar("_T")
_decode_object = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_decode_text = msgspec.json.Decoder(str).decode

BOM: Final = b"\xef\xbb\xbf"
"""The byte order mark, which some writers put before a document. It has no meaning; readers may skip it (RFC 8259
§8.1)."""

MAX_HALVES: Final = 1000
"""A document with more halves of surrogate pairs than this is refused: each takes a step here, and a truncated text has
one."""

MAX_ESCAPES: Final = 500_000
"""A document with more backslashes than this is not searched for halves: passing each takes 0.1 µs."""

# Up to the next half. Escapes are passed as a whole, so that an escaped backslash begins none.
_HALF = rb"u[dD][89a-fA-F][0-9a-fA-F]{2}"
_PAIR = rb"u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
_TO_HALF = re.compile(rb"(?s)(?:[^\\]++|\\%b|\\(?!%b).)*+(\\%b)" % (_PAIR, _HALF, _HALF))

_OPENING = re.compile(rb"[ \t\n\r]*\{")
_NAME = re.compile(rb'[ \t\n\r]*("[^"\\]*(?:\\.[^"\\]*)*")[ \t\n\r]*:[ \t\n\r]*')
_DELIMITER = re.compile(rb"[ \t\n\r]*([,}])")


def without_lone_surrogates(document: bytes) -> bytes:
    """The document with U+FFFD for each escape of half a surrogate pair, which has no UTF-8; all other bytes keep their
    places. JavaScript writes such halves, and our parser refuses them. With more than `MAX_HALVES` or `MAX_ESCAPES` it
    stays unchanged."""
    if document.count(b"\\") > MAX_ESCAPES:
        return document
    parts: list[bytes] = []
    at = 0
    while (half := _TO_HALF.match(document, at)) is not None:
        if len(parts) == 2 * MAX_HALVES:
            return document
        parts += (document[at : half.start(1)], b"\\ufffd")
        at = half.end()
    return b"".join((*parts, document[at:])) if parts else document


def readable(document: bytes) -> bytes:
    """The document for our parser, which refuses a byte order mark and halves of surrogate pairs. For a document that
    is too large to be read in one step (`bulk`), it is the outline."""
    outline = getattr(document, "outline", None)
    if outline is not None:
        document = outline.text
    bare = document.removeprefix(BOM)
    return without_lone_surrogates(bare) if b"\\ud" in bare or b"\\uD" in bare else bare


def read_first(decode: Callable[[bytes], _T], document: bytes) -> _T:
    """The result of `decode` for a document that is read for the first time.

    The permitted depth of a document depends on the depth of the stack. A later reader, deeper in the stack, must not
    find the document too deep, so the first reader leaves room. Raises the exceptions of `decode`, RecursionError among
    them.
    """
    if len(document) > SHALLOW and has_many_brackets(document):
        return _further_down(_HEADROOM, decode, document)
    return decode(document)


def has_many_brackets(document: bytes) -> bool:
    """Whether a document may be nested so deeply that it matters how deep the stack is."""
    if len(document) > _COUNTED:
        found = 0
        for bracket in (b"{", b"["):
            at = -1
            while found < _FEW and (at := document.find(bracket, at + 1)) >= 0:
                found += 1
        if found < _FEW:
            return False
    found = 0
    for at in range(0, len(document), _COUNTED):
        end = at + _COUNTED
        found += document.count(b"{", at, end) + document.count(b"[", at, end)
        if found > _BRACKETS:
            return True
    return False


def _further_down(frames: int, decode: Callable[[bytes], _T], document: bytes) -> _T:
    return _further_down(frames - 1, decode, document) if frames else decode(document)


def why_unreadable(error: Exception) -> str:
    """Describe the fault of a document, for its sender; `error` is the reader's exception."""
    return "nested too deeply" if isinstance(error, RecursionError) else f"not JSON: {error}"


def _decode(document: bytes) -> dict[str, msgspec.Raw]:
    try:
        values = _decode_object(document)
    except msgspec.ValidationError:
        raise BadEnvelope(INVALID_REQUEST, "expected a JSON object", "not_an_object") from None
    except (ValueError, RecursionError) as error:
        raise BadEnvelope(PARSE_ERROR, why_unreadable(error), "not_json") from None
    if len(values) > MAX_MEMBERS:
        raise BadEnvelope(INVALID_REQUEST, f"more than {MAX_MEMBERS} members in one object", "too_many_members")
    return values


def spans(document: bytes) -> dict[str, tuple[int, int]]:
    """Name → (start, end) of the value of each member of a JSON object; white space around a value is not part of it.
    Half a surrogate pair in a name is U+FFFD.

    Raises BadEnvelope if the document is not JSON, not an object, has more than `MAX_MEMBERS` members or one name
    twice.
    """
    try:
        values = _decode(document)
    except BadEnvelope:
        mended = without_lone_surrogates(document)
        if mended == document:
            raise
        return spans(mended)  # in which every byte keeps its place
    found: dict[str, tuple[int, int]] = {}
    opening = _OPENING.match(document)
    position = opening.end() if opening else 0
    # For a repeated name msgspec keeps the last value. The walk then meets the name again, or does not find that value
    # with a delimiter at the first place; without repetition neither happens.
    while (name := _NAME.match(document, position)) is not None:
        key = _decode_text(name[1])
        value = bytes(values[key])
        start = name.end()
        end = start + len(value)
        delimiter = _DELIMITER.match(document, end)
        if key in found or delimiter is None or not document.startswith(value, start):
            raise BadEnvelope(INVALID_REQUEST, f"member {key[:64]!r} appears more than once", "repeated_member")
        found[key] = (start, end)
        position = delimiter.end()
        if delimiter[1] == b"}":
            break
    return found


def unique_members(document: bytes) -> dict[str, bytes]:
    """Name → raw JSON of each member of an object; raises as `spans` does."""
    try:
        values = _decode(document)
    except BadEnvelope:
        return {name: document[start:end] for name, (start, end) in spans(document).items()}
    members = {name: bytes(value) for name, value in values.items()}
    # {"name":value,"name":value}: an object that is not longer than its members in this form has none of them twice.
    if len(document) != 1 + 4 * len(members) + len("".join(members)) + sum(map(len, values.values())):
        spans(document)
    return members
