"""Heads that were read before.

A client repeats its heads byte for byte, but for the digits of Content-Length. What a head means follows from its bytes
alone, so it is read once and remembered without those digits; the next one of the same bytes needs neither parser nor
checks, and what the front door reads from it (`notes`) is not read again either. Bounded; the oldest go first.
"""

from __future__ import annotations

import re

MAX_HEADS = 512
MAX_REMEMBERED = 4096  # bytes of a head; a few hundred are usual, and strangers decide what is remembered
MAX_DIGITS = 18
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,%d})\r\n" % MAX_DIGITS)

Key = tuple[bytes, bytes]
"""The bytes of a head before and after the digits of Content-Length."""


class Head:
    """A head that was found well-formed: its parts (`lines` without Content-Length), and what others note of it.

    Once it is remembered, `before` and `after` are its key.
    """

    __slots__ = ("after", "before", "keep_alive", "lines", "method", "notes", "target")

    def __init__(self, method: bytes, target: bytes, lines: list[tuple[bytes, bytes]], *, keep_alive: bool) -> None:
        self.method = method
        self.target = target
        self.lines = lines
        self.keep_alive = keep_alive
        self.notes: object | None = None
        self.before = self.after = b""

    def body_in(self, data: bytes) -> int:
        """Where the body begins, if `data` is this head, which is remembered, with whatever length, and all of a body
        of that length; 0 if it is anything else."""
        if not data.startswith(self.before):
            return 0
        begin = len(self.before)
        end = data.find(b"\r", begin, begin + MAX_DIGITS + 1)
        digits = data[begin:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self.after, end):
            return 0
        end += len(self.after)
        return end if end + int(digits) == len(data) else 0


class Heads:
    """The memory of one listener. Only heads of HTTP/1.1 with one Content-Length, and nothing unusual, are kept."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[Key, Head] = {}

    def find(self, head: bytes) -> tuple[Key | None, int, Head | None]:
        """The key of a head (None: such a head is not kept), the length of its body, and the head if it is known."""
        match = _LENGTH.search(head)
        if match is None or len(head) > MAX_REMEMBERED:
            return None, 0, None
        start, end = match.span(1)
        key = head[:start], head[end:]
        return key, int(match[1]), self._heads.get(key)

    def keep(self, key: Key, head: Head) -> None:
        """Remember a head that was read whole and found well-formed, length aside."""
        if len(self._heads) >= MAX_HEADS:
            del self._heads[next(iter(self._heads))]
        head.before, head.after = key
        self._heads[key] = head
