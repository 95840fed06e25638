"""The heads of requests that were read before.

A head is read once and stored without the digits of its Content-Length; the next request with the same bytes needs
neither parser nor checks, and the router keeps its notes on the head (`notes`). The cache is bounded; the oldest heads
go first. A head with a credential is remembered by its own connection alone, and goes with it.
"""

from __future__ import annotations

from mcppool.wire.repeated_head import RepeatedHead, split_head

MAX_HEADS = 512
MAX_OWN_HEADS = 4
"""Heads with a credential that one connection remembers: a client has one for each method and tool."""
Key = tuple[bytes, bytes]
"""The bytes of a head before and after the digits of Content-Length."""

Changes = tuple[tuple[int, ...], tuple[bytes, ...]]
"""Places of headers in `Head.lines`, and their other values."""


class Head(RepeatedHead):
    """A well-formed head: its parts (`lines` without Content-Length), and the notes of the router. `model` is for the
    comparison with heads that have other values."""

    __slots__ = ("keep_alive", "lines", "method", "model", "notes", "target")

    def __init__(self, method: bytes, target: bytes, lines: list[tuple[bytes, bytes]], keep_alive: bool) -> None:
        self.method = method
        self.target = target
        self.lines = lines
        self.keep_alive = keep_alive
        self.notes: object | None = None
        self.model: object | None = None

    @property
    def key(self) -> Key:
        """The bytes before and after the digits of Content-Length, of a stored head."""
        return self._before, self._after


class HeadCache:
    """The heads of one listener: HTTP/1.1 with one Content-Length and nothing unusual."""

    __slots__ = ("_heads", "_most")

    def __init__(self, most: int = MAX_HEADS) -> None:
        self._heads: dict[Key, Head] = {}
        self._most = most

    def find(self, head: bytes) -> tuple[Key | None, int, Head | None]:
        """The key of a head (None: such a head is not kept), the length of its body, and the head if it is known."""
        found = split_head(head)
        if found is None:
            return None, 0, None
        before, after, length = found
        key = before, after
        return key, length, self._heads.get(key)

    def get(self, key: Key) -> Head | None:
        """The head with this key, if it is known."""
        return self._heads.get(key)

    def clear(self) -> None:
        """Forget all heads."""
        self._heads.clear()

    def keep(self, key: Key, head: Head) -> None:
        """Store a head that was read whole and found well-formed, apart from the length."""
        if len(self._heads) >= self._most:
            del self._heads[next(iter(self._heads))]
        head.remember(*key)
        self._heads[key] = head
