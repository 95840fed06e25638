"""Heads that differ from one that was read before in the values of some headers only, such as `traceparent`.

Their lines are compared with those of the known head. Equal lines have equal meaning; a different line must have the
same name and a plain value, and nothing that is remembered with a head may depend on that name.
"""

from __future__ import annotations

from typing import Final

from mcppool.gateway.http.head_cache import Change, Head
from mcppool.wire.repeated_head import MAX_DIGITS, MAX_REMEMBERED

MAX_MODELS: Final = 4
"""Known heads that one connection compares with: a client has one for each method and tool."""

_FIXED: Final = frozenset(
    b"accept connection content-encoding content-type expect host keep-alive last-event-id origin proxy-connection te "
    b"trailer transfer-encoding upgrade".split()
)
_FIXED_PREFIXES: Final = (b"access-control-", b"mcp-", b"sec-")
_PARAM_PREFIX: Final = b"mcp-param-"
_LENGTH: Final = -1
"""Stands for the place of Content-Length, which is not in `Head.lines`."""
_PLAIN: Final = bytes(range(0x20, 0x7F))
_SPACE: Final = 0x20


class HeadModel:
    """A known head, line by line. `credential_headers` are the names whose values belong to credentials.

    The head has its model, so the model gets the head with each call: a cycle of them would stay in memory for a while.
    """

    __slots__ = (
        "_digits_at", "_first", "_length_at", "_lines", "_prefixes", "_spots", "credential_headers",
    )  # fmt: skip

    def __init__(self, head: Head, credential_headers: frozenset[bytes]) -> None:
        before, after = head.key
        self.credential_headers = credential_headers
        self._lines = (before + after)[: -len(b"\r\n\r\n")].split(b"\r\n")
        self._length_at = before.count(b"\r\n")
        self._digits_at = len(self._lines[self._length_at])
        self._first = b""  # the bytes before the first value that varies
        self._spots: tuple[tuple[int, bytes], ...] = ()  # places of such values in `Head.lines`, the bytes behind them
        names = [name for name, _ in head.lines]
        # As far as a line may vary: its name, the colon and a space.
        self._prefixes: list[bytes | None] = [None] * len(self._lines)
        if len(names) + 2 != len(self._lines):  # the reader has left a line out
            return
        for at, name in enumerate(names, 1):
            place = at + (at >= self._length_at)
            prefix = self._lines[place][: len(name) + 2]
            if names.count(name) == 1 and not self._is_fixed(name) and prefix.lower() == name + b": ":
                self._prefixes[place] = prefix

    def _is_fixed(self, name: bytes) -> bool:
        if name in _FIXED or name in self.credential_headers:
            return True
        return name.startswith(_FIXED_PREFIXES) and not name.startswith(_PARAM_PREFIX)

    def read_again(self, known: Head, head: bytes) -> tuple[Head, int] | None:
        """The result of `read` for a head that differs in the same lines as the one before, or in fewer."""
        at = len(self._first)
        if not at or not head.startswith(self._first):
            return None
        changes: list[Change] = []
        length = 0
        for place, segment in self._spots:
            end = head.find(b"\r\n", at)
            value = head[at:end]
            if not head.startswith(segment, end):
                return None
            if place != _LENGTH:
                if not _is_plain(value):
                    return None
                changes.append((place, value))
            elif value.isdigit() and len(value) <= MAX_DIGITS:
                length = int(value)
            else:
                return None
            at = end + len(segment)
        return (known.varied(changes), length) if at == len(head) else None

    def _expect(self, changed: list[int]) -> None:
        """The next head probably differs in these lines: note the bytes between their values."""
        spots = sorted((*changed, self._length_at))
        segments: list[bytes] = []
        segment = b""
        for at, line in enumerate(self._lines):
            prefix = line if at == self._length_at else self._prefixes[at]
            if at in spots and prefix is not None:
                segments.append(segment + prefix)
                segment = b"\r\n"
            else:
                segment += line + b"\r\n"
        self._first, *others = *segments, segment + b"\r\n"
        places = [_LENGTH if at == self._length_at else self._place(at) for at in spots]
        self._spots = tuple(zip(places, others, strict=True))

    def _place(self, at: int) -> int:
        """The place of a line in `Head.lines`, which has neither the request line nor Content-Length."""
        return at - 1 - (at > self._length_at)

    def read(self, head: Head, lines: list[bytes]) -> tuple[Head, int] | None:
        """The head with these lines, and the length of its body; None if it differs in more than values."""
        if len(lines) != len(self._lines):
            return None
        known, prefixes, length_at = self._lines, self._prefixes, self._length_at
        changed: list[int] = []
        changes: list[Change] = []
        for at, line in enumerate(lines):
            if line == known[at] or at == length_at:
                continue
            prefix = prefixes[at]
            if prefix is None or not line.startswith(prefix) or not _is_plain(line[len(prefix) :]):
                return None
            changed.append(at)
            changes.append((self._place(at), line[len(prefix) :]))
        digits = lines[length_at][self._digits_at :]
        if not (lines[length_at].startswith(known[length_at]) and digits.isdigit() and len(digits) <= MAX_DIGITS):
            return None
        self._expect(changed)
        return head.varied(changes), int(digits)


def _is_plain(value: bytes) -> bool:
    """Whether a value is visible ASCII, without white space at its ends."""
    return bool(value) and not value.translate(None, _PLAIN) and value[0] != _SPACE and value[-1] != _SPACE


class HeadModels:
    """The models of one connection, the latest first."""

    __slots__ = ("_heads",)

    def __init__(self) -> None:
        self._heads: list[Head] = []

    def add(self, head: Head) -> None:
        """Compare the next heads with this one, too."""
        if head in self._heads:
            self._heads.remove(head)
        self._heads.insert(0, head)
        del self._heads[MAX_MODELS:]

    def read(self, head: bytes, credential_headers: frozenset[bytes]) -> tuple[Head, int] | None:
        """A whole head that differs from a known one in values only, and the length of its body."""
        if len(head) > MAX_REMEMBERED:
            return None
        for known in self._heads:
            model = known.model
            if isinstance(model, HeadModel) and model.credential_headers is credential_headers:
                found = model.read_again(known, head)
                if found is not None:
                    return found
        lines = head[: -len(b"\r\n\r\n")].split(b"\r\n")
        for known in self._heads:
            model = known.model
            if not isinstance(model, HeadModel) or model.credential_headers is not credential_headers:
                model = known.model = HeadModel(known, credential_headers)
            found = model.read(known, lines)
            if found is not None:
                return found
        return None
