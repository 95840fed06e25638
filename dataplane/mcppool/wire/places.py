"""One member of a message, by its path: read it, or set it and leave every other byte unchanged."""

from __future__ import annotations

from collections.abc import Callable, Generator

from mcppool.wire.bulk import BULK, Bulk, copy, finish, outline_of, replace_in
from mcppool.wire.members import BOM, spans


def replace_at(document: bytes, path: tuple[str, ...], value: bytes) -> bytes:
    """The document with the member at `path` set to the raw JSON `value`, every other byte unchanged. A `Bulk` is
    changed in place.

    A member that is absent, or belongs to something that is not an object, is left alone. Raises BadEnvelope as `spans`
    does.
    """
    if len(document) > BULK:
        return _replace_in_large(document, path, value)
    document = document.removeprefix(BOM)
    place = _place(document, path)
    return document if place is None else b"".join((document[: place[0]], value, document[place[1] :]))


def _replace_in_large(document: bytes, path: tuple[str, ...], value: bytes) -> bytes:
    if not isinstance(document, Bulk):
        return bytes(finish(replaced(document, path, value)))
    outline = outline_of(document)
    place = place_of(document, path)
    if place is not None:
        replace_in(document, outline, *place, value)
    return document


def replaced(document: bytes, path: tuple[str, ...], value: bytes) -> Generator[None, None, bytes]:
    """`replace_at` for a large document: a copy, in steps of a millisecond."""
    outline = outline_of(document)
    place = place_of(document, path)
    made = yield from copy(document, outline)
    if place is not None:
        replace_in(made, outline, *place, value)
    return made


def map_at(document: bytes, path: tuple[str, ...], convert: Callable[[bytes], bytes | None]) -> bytes:
    """`replace_at` with the result of `convert` for the member's raw JSON; the document itself if that is None, or if
    there is no such member."""
    raw = raw_at(document, path)
    value = convert(raw) if raw is not None else None
    return document if value is None else replace_at(document, path, value)


def raw_at(document: bytes, path: tuple[str, ...]) -> bytes | None:
    """The raw JSON of the member at `path`; None if there is none. Raises BadEnvelope as `spans` does."""
    place = place_of(document, path)
    return None if place is None else bytes(document[place[0] : place[1]])


def place_of(document: bytes, path: tuple[str, ...]) -> tuple[int, int] | None:
    """(start, end) of the value of the member at `path`; None if there is none. Raises BadEnvelope as `spans` does."""
    if len(document) <= BULK:
        return _place(document, path)
    outline = outline_of(document)
    place = _place(outline.text, path)
    return None if place is None else (outline.start_of(place[0]), outline.end_of(place[1]))


def _place(document: bytes, path: tuple[str, ...]) -> tuple[int, int] | None:
    start = len(BOM) if document.startswith(BOM) else 0
    end = len(document)
    for name in path:
        inner = document[start:end]
        if not inner.lstrip(b" \t\n\r").startswith(b"{"):
            return None
        span = spans(inner).get(name)
        if span is None:
            return None
        start, end = start + span[0], start + span[1]
    return start, end
