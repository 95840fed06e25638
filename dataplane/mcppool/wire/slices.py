"""Skips JSON of any size in slices, and checks each of them.

A slice ends between two tokens, or inside a string. Together with the open brackets around it, it is a small document
of its own, which msgspec checks.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Generator
from itertools import accumulate
from typing import Final

import msgspec

from mcppool.wire.errors import INVALID_REQUEST, PARSE_ERROR, BadEnvelope
from mcppool.wire.members import why_unreadable, without_lone_surrogates

SLICE: Final = 64 * 1024
"""Bytes of a slice with structure: a slice of brackets only takes a millisecond."""
STRING_SLICE: Final = 256 * 1024
"""Bytes of a slice of one string, or of white space."""
MIN_SLICE: Final = 512
"""Bytes of the first slice of a value; each further one is twice as long."""

_SPACE = re.compile(rb"[ \t\n\r]*+")
_SCALAR = re.compile(rb"[-+.0-9A-Za-z]++")
_HIGH_HALF = re.compile(rb"\\u[dD][89abAB][0-9a-fA-F]{2}")
_STRING = b"\1"  # stands for a string; outside of strings it is no JSON
_WORD_BYTES: Final = b"-+.0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
_WHITE: Final = b" \t\n\r"
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_CLOSER: Final = {ord("["): ord("]"), ord("{"): ord("}")}
_STEPS: Final = bytes(1 if byte in b"[{" else 255 if byte in b"]}" else 0 for byte in range(256))
_FEW_PASSES: Final = 2  # any deeper nesting is gone then

_check = msgspec.json.Decoder(msgspec.Raw).decode

# The beginning or end of a slice in an innermost container: the text to write before it, and after it. `_state_after`
# tells them apart.
_ARRAY, _OBJECT = ord("["), ord("{")
_LEAD: Final = {
    ("first", _ARRAY): b"[", ("value", _ARRAY): b"[0,", ("after", _ARRAY): b"[0",
    ("first", _OBJECT): b"{", ("name", _OBJECT): b'{"":0,', ("colon", _OBJECT): b'{""', ("value", _OBJECT): b'{"":',
    ("after", _OBJECT): b'{"":0',
}  # fmt: skip
_TAIL: Final = {
    ("first", _ARRAY): b"]", ("value", _ARRAY): b"0]", ("after", _ARRAY): b"]",
    ("first", _OBJECT): b"}", ("name", _OBJECT): b'"":0}', ("colon", _OBJECT): b":0}", ("value", _OBJECT): b"0}",
    ("after", _OBJECT): b"}",
}  # fmt: skip


class SlicedReader:
    """Reads a document from `at` on. Its methods are generators that yield after each slice and raise BadEnvelope if it
    is no JSON."""

    def __init__(self, document: bytes) -> None:
        self.document = document
        self.at = 0
        self._size = len(document)
        self._yielded = 0

    def _pause(self, every: int) -> bool:
        """Whether it is time for other work."""
        if self.at - self._yielded < every:
            return False
        self._yielded = self.at
        return True

    def check_text(self) -> Generator[None, None, None]:
        """Require UTF-8: msgspec does not check skipped values."""
        document, at, size = self.document, 0, self._size
        while at < size:
            end = min(at + STRING_SLICE, size)
            while end < size and end > at + 4 and document[end] & 0xC0 == 0x80:  # never in the middle of a character
                end -= 1
            piece = document[at:end]
            if not piece.isascii():
                try:
                    piece.decode()
                except UnicodeDecodeError as error:
                    raise not_json(f"invalid UTF-8 (byte {at + error.start})") from None
            at = end
            yield

    def space(self) -> Generator[None, None, None]:
        """Skip white space."""
        while (found := _SPACE.match(self.document, self.at, self.at + STRING_SLICE)) is not None:
            self.at = found.end()
            if self.at - found.start() < STRING_SLICE:
                return
            yield

    def value(self) -> Generator[None, None, None]:
        """Skip one value."""
        first = self.document[self.at : self.at + 1]
        if first == b'"':
            yield from self._string()
        elif first in (b"[", b"{"):
            yield from self._container()
        else:
            found = _SCALAR.match(self.document, self.at, self.at + SLICE)
            if found is None:
                raise not_json("expected a value")
            if len(found[0]) == SLICE:
                raise _too_long()
            demand(found[0])
            self.at = found.end()
        if self._pause(SLICE):
            yield

    def _string(self) -> Generator[None, None, None]:
        document = self.document
        at = self.at + 1
        while True:
            limit = min(at + STRING_SLICE, self._size)
            end = document.find(b'"', at, limit)
            closed = end >= 0
            if document.find(b"\\", at, end if closed else limit) >= 0:
                end = at + _end_of_string(bytes(document[at : min(at + SLICE, limit)]))
                closed = document[end : end + 1] == b'"'
            elif not closed:
                end = limit
            demand(b'"%b"' % document[at:end])
            if closed:
                self.at = end + 1
                return
            if end == at:
                raise not_json("invalid escape, or the string does not end")
            self.at = at = end
            if self._pause(STRING_SLICE if end == limit else SLICE):
                yield

    def _container(self) -> Generator[None, None, None]:
        """Skip an array or an object with its contents. `stack` has the open brackets."""
        document = self.document
        stack = bytearray(document[self.at : self.at + 1])
        state = "first"
        self.at += 1
        length = MIN_SLICE
        while True:
            window = bytes(document[self.at : self.at + length])
            text, left = _without_strings(window)
            begun = left > 0  # a string whose end has not come
            if not begun and self.at + length < self._size:  # a number may go on
                whole = len(text)
                text = text.rstrip(_WORD_BYTES)
                left = whole - len(text)
            cut = len(window) - left
            lead = _lead(stack, state)
            depth = len(stack)
            if _follow(stack, text):
                end = _end_in(window, depth)
                demand(lead + window[:end])
                self.at += end
                return
            state = _state_after(text, stack[-1], state)
            demand(lead + window[:cut] + _tail(stack, state))
            self.at += cut
            if begun:
                if state not in ("first", "value", "name"):
                    raise not_json("a string where none is expected")
                is_name = stack[-1] == _OBJECT and state != "value"
                yield from self._string()
                state = "colon" if is_name else "after"
            elif self.at >= self._size:
                raise not_json("input data was truncated")
            elif cut == 0 and length == SLICE:
                raise _too_long()
            length = min(2 * length, SLICE)
            if self._pause(SLICE // 2):
                yield


def _lead(stack: bytearray, state: str) -> bytes:
    """The bytes before a slice that make it a document."""
    outer = bytes(stack[:-1]).replace(b"{", b'{"":')
    return outer + _LEAD[state, stack[-1]]


def _tail(stack: bytearray, state: str) -> bytes:
    """The bytes after a slice that make it a document."""
    outer = bytes(_CLOSER[bracket] for bracket in reversed(stack[:-1]))
    return _TAIL[state, stack[-1]] + outer


def _without_escapes(piece: bytes) -> bytes:
    """A piece of JSON that begins outside of an escape, with only those quotation marks that begin or end a string. All
    bytes keep their places."""
    return piece.replace(b"\\\\", b"__").replace(b'\\"', b"__") if b"\\" in piece else piece


def _without_strings(window: bytes) -> tuple[bytes, int]:
    """A slice with `_STRING` for each string; and the number of bytes at its end in an unfinished string, which is left
    out."""
    if b'"' not in window:
        return window, 0
    parts = _without_escapes(window).split(b'"')
    left = 0 if len(parts) % 2 else 1 + len(parts.pop())
    return _STRING.join(parts[::2]), left


def _end_of_string(piece: bytes) -> int:
    """The end of a string whose rest this is; or a place to cut it, outside of escapes and surrogate pairs."""
    plain = _without_escapes(piece)
    end = plain.find(b'"')
    if end >= 0:
        return end
    cut = len(plain)
    escape = plain.rfind(b"\\", max(0, cut - 6))
    if escape >= 0:
        cut = escape
        if _HIGH_HALF.match(plain, max(0, cut - 6), cut):
            cut -= 6
    return cut


def _follow(stack: bytearray, text: bytes) -> bool:
    """Open and close the brackets of a slice without its strings; returns whether the outermost one is closed. The
    parser checks that brackets match."""
    if not any(bracket in text for bracket in (b"]", b"}", b"[", b"{")):
        return False
    brackets = text.translate(None, _NO_BRACKETS)
    for _ in range(_FEW_PASSES):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    depths = _depths(brackets, 0)
    lowest = min(depths)
    if len(stack) + lowest <= 0:
        return True
    del stack[len(stack) + lowest :]
    # The bracket that stays open at a level was opened when the depth was below it for the last time.
    opened = bytearray()
    backwards = depths[::-1]
    position = 0
    for level in range(depths[-1] - 1, lowest - 1, -1):
        position = backwards.index(level, position)
        opened.append(brackets[len(brackets) - position])
    stack += opened[::-1]
    return False


def _depths(text: bytes, depth: int) -> list[int]:
    """Number of open brackets before each byte, and at the end, with `depth` at the beginning."""
    return list(accumulate(array("b", text.translate(_STEPS)), initial=depth))


def _end_in(window: bytes, depth: int) -> int:
    """The place in a slice where the outermost of `depth` brackets is closed."""
    at = 0
    for number, part in enumerate(_without_escapes(window).split(b'"')):
        closed = part.count(b"]") + part.count(b"}") if number % 2 == 0 else 0
        if closed >= depth:
            depths = _depths(part, depth)
            if 0 in depths:
                return at + depths.index(0)
        if number % 2 == 0:
            depth += part.count(b"[") + part.count(b"{") - closed
        at += len(part) + 1
    raise not_json("input data was truncated")


def _state_after(text: bytes, innermost: int, state: str) -> str:
    """The state of the innermost container after a slice without its strings, which began in `state`."""
    text = text.rstrip(_WHITE)
    last = text[-1:]
    if not last:
        return state
    if last in (b"[", b"{"):
        return "first"
    if last == b",":
        return "value" if innermost == _ARRAY else "name"
    if last == b":":
        return "value" if innermost == _OBJECT else "after"
    if last == _STRING and innermost == _OBJECT:
        before = text[:-1].rstrip(_WHITE)[-1:]
        if before in (b",", b"{") or (not before and state in ("first", "name")):
            return "colon"
    return "after"


def demand(document: bytes) -> None:
    """Raise BadEnvelope if a piece is not JSON."""
    try:
        _check(document)
    except (ValueError, RecursionError) as error:
        mended = without_lone_surrogates(document)
        if mended == document:
            raise _of(error) from None
        try:
            _check(mended)
        except (ValueError, RecursionError) as again:
            raise _of(again) from None


def _of(error: Exception) -> BadEnvelope:
    """The error without its position, which is relative to a slice."""
    return BadEnvelope(PARSE_ERROR, re.sub(r" \(byte \d+\)$", "", why_unreadable(error)), "not_json")


def not_json(why: str) -> BadEnvelope:
    """The error for bytes that are not JSON in UTF-8."""
    return BadEnvelope(PARSE_ERROR, f"not JSON: {why}", "not_json")


def _too_long() -> BadEnvelope:
    text = f"a number of {SLICE} digits or more in a large message"
    return BadEnvelope(INVALID_REQUEST, text, "member_too_large")
