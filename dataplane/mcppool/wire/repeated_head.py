"""HTTP heads that were read before.

Clients and servers repeat their heads byte for byte, except for the digits of Content-Length. The meaning of a head
follows from its bytes alone, so a head that was read and found well-formed is recognised without a parser.
"""

from __future__ import annotations

import re
from typing import Final

MAX_REMEMBERED: Final = 4096  # bytes of a head; a few hundred are usual, and clients decide which heads are stored
MAX_DIGITS: Final = 18
_LENGTH: Final = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,%d})\r\n" % MAX_DIGITS)


class RepeatedHead:
    """The bytes of a head before and after the digits of its Content-Length; recognised once stored."""

    __slots__ = ("_after", "_before", "_begin", "_limit", "_rest")

    def remember(self, before: bytes, after: bytes) -> None:
        """From now on `body_in` recognises it."""
        self._before = before
        self._after = after
        self._begin = len(before)
        self._rest = len(after)
        self._limit = self._begin + MAX_DIGITS + 1

    def body_in(self, data: bytes) -> int:
        """The beginning of the body, if `data` is this head, with any length, and all of a body of that length;
        otherwise 0."""
        if not data.startswith(self._before):
            return 0
        begin = self._begin
        # Not the place of all of `_after`: a search reads the whole of what it looks for before it begins.
        end = data.find(b"\r", begin, self._limit)
        if end < 0 or not data.startswith(self._after, end):
            return 0
        body = end + self._rest
        return body if data[begin:end] == b"%d" % (len(data) - body) else 0

    def key_in(self, data: bytes) -> tuple[tuple[bytes, bytes], int] | None:
        """The key that another head would be stored under, and the beginning of the body: the bytes before and after
        the digits of Content-Length, where they stand as in this head and all of a body of that length follows.

        Only a stored head with the same two parts proves that `data` begins with such a head.
        """
        begin = self._begin
        end = data.find(b"\r\n", begin, begin + MAX_DIGITS + 2)
        body = end + self._rest
        size = len(data) - body
        if end < 0 or size < 0 or data[begin:end] != b"%d" % size:
            return None
        return (data[:begin], data[end:body]), body


def split_head(head: bytes) -> tuple[bytes, bytes, int] | None:
    """The bytes before and after the digits of Content-Length, and its value; None for a head that is not stored,
    because it has no such line in the usual form or is too large."""
    match = _LENGTH.search(head)
    if match is None or len(head) > MAX_REMEMBERED:
        return None
    begin, end = match.span(1)
    return head[:begin], head[end:], int(match[1])
