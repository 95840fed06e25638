"""The trace context in a message: `traceparent`, `tracestate` and `baggage` in ``params._meta`` (SEP-414).

The message is not encoded again: new values are put between its bytes, and all other bytes stay unchanged.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from typing import Final

import msgspec
from msgspec import UNSET, Raw, Struct, UnsetType, field

from mcppool.wire.bulk import BULK, copy, outline_of, replace_in
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.members import BOM, spans
from mcppool.wire.raw_values import text_in

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
BAGGAGE: Final = "baggage"

Edit = tuple[int, int, bytes]
"""Start and end of the bytes that are replaced, and the bytes in their place."""

_NAME: Final = b'"traceparent"'
_NAMED: Final = {name: b'"%b":' % name.encode() for name in (TRACEPARENT, TRACESTATE, BAGGAGE)}
_META_NAME: Final = b'"_meta":{'
_BACKSLASH: Final = 0x5C
_CLOSING_BRACE: Final = 0x7D
_WHITE_SPACE: Final = b" \t\r\n"
_encode = msgspec.json.Encoder().encode


class _Meta(Struct, gc=False):
    traceparent: Raw | UnsetType = UNSET
    tracestate: Raw | UnsetType = UNSET
    baggage: Raw | UnsetType = UNSET


class _Params(Struct, gc=False):
    meta: _Meta | None = field(name="_meta", default=None)


class _Message(Struct, gc=False):
    params: _Params | None = None


_decode = msgspec.json.Decoder(_Message).decode


def read_trace_meta(body: bytes) -> tuple[str, str]:
    """`traceparent` and `tracestate` of a message; empty if absent. Costs one search if there is none."""
    text = body if len(body) <= BULK else outline_of(body).text
    if _NAME not in text:
        return "", ""
    meta = _meta_of(text)
    if meta is None or meta.traceparent is UNSET:
        return "", ""
    parent = text_in(bytes(meta.traceparent)) or ""
    state = text_in(bytes(meta.tracestate)) if meta.tracestate is not UNSET else None
    return parent, state or ""


def with_trace_meta(body: bytes, members: Mapping[str, str], absent: Mapping[str, str]) -> bytes:
    """The message with `members` in ``params._meta``, and those of `absent` that are not there yet.

    A message whose ``params`` or ``_meta`` is no object stays as it is.
    """
    at = _place_for_new(body)
    if at:
        new = _joined(members if not absent else {**absent, **members})
        return b"%b%b%b%b" % (body[:at], new, b"" if body[at] == _CLOSING_BRACE else b",", body[at:])
    for start, end, value in _edits(body, members, absent):
        body = b"".join((body[:start], value, body[end:]))
    return body


def large_with_trace_meta(
    body: bytes, members: Mapping[str, str], absent: Mapping[str, str]
) -> Generator[None, None, bytes]:
    """The same for a message of more than `BULK` bytes, in steps of a millisecond: the client's bytes stay."""
    outline = outline_of(body)
    edits = [
        (outline.start_of(start), outline.end_of(end) if end > start else outline.start_of(start), value)
        for start, end, value in _edits(outline.text, members, absent)
    ]
    if not edits:
        return body
    made = yield from copy(body, outline)
    for start, end, value in edits:
        replace_in(made, made.outline, start, end, value)
    return made


def _place_for_new(text: bytes) -> int:
    """Where new members go in a message whose only `_meta` is that of ``params``, without white space, and which has
    none of our members; 0 for any other."""
    at = text.find(_META_NAME)
    if at < 0 or text.rfind(b"_meta") != at + 1 or text.find(b"_meta") != at + 1:
        return 0
    if _BACKSLASH in text and b"\\u00" in text:  # a name may be written with escapes
        return 0
    meta = _meta_of(text)
    if meta is None or not (meta.traceparent is meta.tracestate is meta.baggage is UNSET):
        return 0
    at += len(_META_NAME)
    return 0 if text[at] in _WHITE_SPACE else at


def _meta_of(text: bytes) -> _Meta | None:
    try:
        params = _decode(text.removeprefix(BOM)).params
    except (ValueError, RecursionError):  # `params` or `_meta` of another type, or a number that only others read
        return None
    return params.meta if params is not None else None


def _edits(text: bytes, members: Mapping[str, str], absent: Mapping[str, str]) -> list[Edit]:
    """The changes to a message, the last one first."""
    wanted = {**absent, **members}
    edits = _quick_edits(text, wanted, members)
    if edits is None:
        try:
            edits = _careful_edits(text, wanted, members)
        except BadEnvelope:
            edits = []
    return sorted(edits, reverse=True)


def _quick_edits(text: bytes, wanted: Mapping[str, str], members: Mapping[str, str]) -> list[Edit] | None:
    """The edits of a message whose only `_meta` is that of ``params``, without white space; None for any other."""
    if text.count(_META_NAME) != 1 or text.count(b"_meta") != 1 or b"\\u00" in text:
        return None
    meta = _meta_of(text)
    if meta is None:
        return None
    edits: list[Edit] = []
    new: list[bytes] = []
    for name, value in wanted.items():
        raw = getattr(meta, name)
        if raw is UNSET:
            new.append(b'"%b":%b' % (name.encode(), _encode(value)))
        elif name in members:
            written = b'"%b":%b' % (name.encode(), bytes(raw))
            if text.count(written) != 1 or text.count(b'"%b"' % name.encode()) != 1:
                return None
            end = text.index(written) + len(written)
            edits.append((end - len(bytes(raw)), end, _encode(value)))
    if new:
        edits.append(_insertion(text, text.index(_META_NAME) + len(_META_NAME), b",".join(new)))
    return edits


def _careful_edits(text: bytes, wanted: Mapping[str, str], members: Mapping[str, str]) -> list[Edit]:
    """The edits of any message. Raises BadEnvelope if it is none."""
    start = len(BOM) if text.startswith(BOM) else 0
    start = text.index(b"{", start)
    place = _object_at(text, start, len(text), "params")
    if place is None:
        return [_insertion(text, start + 1, b'"params":{"_meta":{%b}}' % _joined(wanted))]
    params = text[place[0] : place[1]]
    if not params.startswith(b"{"):
        return []
    meta = _object_at(text, *place, "_meta")
    if meta is None:
        return [_insertion(text, place[0] + 1, b'"_meta":{%b}' % _joined(wanted))]
    if text[meta[0] : meta[0] + 1] != b"{":
        return []
    found = spans(text[meta[0] : meta[1]])
    edits = [
        (meta[0] + found[name][0], meta[0] + found[name][1], _encode(value))
        for name, value in members.items()
        if name in found
    ]
    new = {name: value for name, value in wanted.items() if name not in found}
    if new:
        edits.append(_insertion(text, meta[0] + 1, _joined(new)))
    return edits


def _object_at(text: bytes, start: int, end: int, name: str) -> tuple[int, int] | None:
    span = spans(text[start:end]).get(name)
    return None if span is None else (start + span[0], start + span[1])


def _joined(members: Mapping[str, str]) -> bytes:
    return b",".join([_NAMED[name] + _encode(value) for name, value in members.items()])


def _insertion(text: bytes, at: int, new: bytes) -> Edit:
    """New members at the beginning of the object whose first member would be at `at`."""
    comma = b"" if text[at:].lstrip(b" \t\r\n").startswith(b"}") else b","
    return at, at, new + comma
