"""Heads that were read before.

A client repeats its heads byte for byte, but for the digits of Content-Length. What a head means follows from its bytes
alone, so it is read once and remembered without those digits; the next one of the same bytes needs neither parser nor
checks, and what the front door reads from it (`notes`) is not read again either. Bounded; the oldest go first.
"""

from __future__ import annotations

import re

MAX_HEADS = 512
MAX_REMEMBERED = 4096  # bytes of a head; a few hundred are usual, and strangers decide what is remembered
_LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: ([0-9]{1,18})\r\n")


class Head:
    """A head that was found well-formed: its parts (`lines` without Content-Length), and what others note of it."""

    __slots__ = ("keep_alive", "lines", "method", "notes", "target")

    def __init__(self, method: bytes, target: bytes, lines: list[tuple[bytes, bytes]], *, keep_alive: bool) -> None:
        self.method = method
        self.target = target
        self.lines = lines
        self.keep_alive = keep_alive
        self.notes: object | None = None


class Heads:
    """The memory of one listener. Only heads of HTTP/1.1 with one Content-Length, and nothing unusual, are kept."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: dict[bytes, Head] = {}

    def find(self, head: bytes) -> tuple[bytes | None, int, Head | None]:
        """The key of a head (None: such a head is not kept), the length of its body, and the head if it is known."""
        match = _LENGTH.search(head)
        if match is None or len(head) > MAX_REMEMBERED:
            return None, 0, None
        start, end = match.span(1)
        key = head[:start] + head[end:]
        return key, int(match[1]), self._heads.get(key)

    def keep(self, key: bytes, head: Head) -> None:
        """Remember a head that was read whole and found well-formed, length aside."""
        if len(self._heads) >= MAX_HEADS:
            del self._heads[next(iter(self._heads))]
        self._heads[key] = head
