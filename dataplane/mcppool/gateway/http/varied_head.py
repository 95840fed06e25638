"""Heads that differ from one that was read before in the values of some headers only, such as `traceparent`.

Their lines are compared with those of the known head. Equal lines have equal meaning; a different line must have the
same name and a plain value, and nothing that is remembered with a head may depend on that name. So such a request has
the known head, and `changes` to it.
"""

from __future__ import annotations

from typing import Final

from mcppool.gateway.http.head_cache import Changes, Head
from mcppool.wire.repeated_head import MAX_DIGITS, MAX_REMEMBERED

MAX_MODELS: Final = 4
"""Known heads that one connection compares with: a client has one for each method and tool."""

Found = tuple[Head, Changes, int, int]
"""A known head, the values in which another one differs from it, and the beginning and length of its body."""

_FIXED: Final = frozenset(
    b"accept connection content-encoding content-type expect host keep-alive last-event-id origin proxy-connection te "
    b"trailer transfer-encoding upgrade".split()
)
_FIXED_PREFIXES: Final = (b"access-control-", b"mcp-", b"sec-")
_PARAM_PREFIX: Final = b"mcp-param-"
_PLAIN: Final = bytes(range(0x20, 0x7F))
_SPACE: Final = 0x20


class HeadModel:
    """A known head, line by line. `credential_headers` are the names whose values belong to credentials.

    The head has its model, so the model gets the head with each call: a cycle of them would stay in memory for a while.
    """

    __slots__ = (
        "_digits", "_digits_at", "_first", "_length", "_length_at", "_lines", "_places", "_prefixes", "_spots",
        "_varying", "credential_headers",
    )  # fmt: skip

    def __init__(self, head: Head, credential_headers: frozenset[bytes]) -> None:
        before, after = head.key
        self.credential_headers = credential_headers
        self._lines = (before + after)[: -len(b"\r\n\r\n")].split(b"\r\n")
        self._length_at = before.count(b"\r\n")
        self._digits_at = len(self._lines[self._length_at])
        self._first = b""  # the bytes before the first value that varies
        self._spots: tuple[tuple[bool, bytes], ...] = ()  # of each such value: if it is the length; the bytes behind it
        self._varying: set[int] = set()  # lines whose values differed
        self._places: tuple[int, ...] = ()  # of them in `Head.lines`
        self._digits = b""  # of the last length ...
        self._length = 0  # ... which this was
        names = [name for name, _ in head.lines]
        # As far as a line may vary: its name, the colon and a space.
        self._prefixes: list[bytes | None] = [None] * len(self._lines)
        if len(names) + 2 != len(self._lines):  # the reader has left a line out
            return
        for at, name in enumerate(names, 1):
            place = at + (at >= self._length_at)
            line = self._lines[place]
            prefix = line[: len(name) + 2]
            if names.count(name) > 1 or self._is_fixed(name) or prefix.lower() != name + b": ":
                continue
            if is_plain(line[len(prefix) :]):  # a later head may have this very value, next to others that differ
                self._prefixes[place] = prefix

    def _is_fixed(self, name: bytes) -> bool:
        if name in _FIXED or name in self.credential_headers:
            return True
        return name.startswith(_FIXED_PREFIXES) and not name.startswith(_PARAM_PREFIX)

    def read_again(self, known: Head, data: bytes) -> Found | None:
        """The head at the beginning of `data`, if it differs in lines only in which others have differed."""
        first = self._first
        if not first or not data.startswith(first):
            return None
        at = len(first)
        length = -1
        values: list[bytes] = []
        for is_length, segment in self._spots:
            end = data.find(b"\r", at)
            if not data.startswith(segment, end):
                return None
            value = data[at:end]
            at = end + len(segment)
            if not is_length:
                # Most ids are of such characters; this takes half the time of the general check.
                if not value.replace(b"-", b"").isalnum() and not is_plain(value):
                    return None
                values.append(value)
            elif value == self._digits:
                length = self._length
            elif (length := length_of(value)) >= 0:
                self._digits, self._length = value, length
            else:
                return None
        return None if at > MAX_REMEMBERED else (known, (self._places, tuple(values)), at, length)

    def _expect(self, changed: list[int]) -> None:
        """The next heads probably differ in these lines, or in those that differed before: note the bytes between their
        values."""
        if self._first and self._varying.issuperset(changed):
            return
        self._varying |= set(changed)
        spots = sorted({*self._varying, self._length_at})
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
        self._spots = tuple((at == self._length_at, behind) for at, behind in zip(spots, others, strict=True))
        self._places = tuple(self._place(at) for at in sorted(self._varying))

    def _place(self, at: int) -> int:
        """The place of a line in `Head.lines`, which has neither the request line nor Content-Length."""
        return at - 1 - (at > self._length_at)

    def read(self, lines: list[bytes]) -> tuple[Changes, int] | None:
        """The other values in a head with these lines, and the length of its body; None if it differs in more."""
        if len(lines) != len(self._lines):
            return None
        known, prefixes, length_at = self._lines, self._prefixes, self._length_at
        changed: list[int] = []
        for at, line in enumerate(lines):
            if line == known[at] or at == length_at:
                continue
            prefix = prefixes[at]
            if prefix is None or not line.startswith(prefix) or not is_plain(line[len(prefix) :]):
                return None
            changed.append(at)
        length = length_of(lines[length_at][self._digits_at :])
        if length < 0 or not lines[length_at].startswith(known[length_at]):
            return None
        self._expect(changed)
        values = [lines[at][len(prefixes[at] or b"") :] for at in sorted(self._varying)]
        return (self._places, tuple(values)), length


def length_of(digits: bytes) -> int:
    """The value of Content-Length; -1 if it is not of a few digits alone."""
    return int(digits) if digits.isdigit() and len(digits) <= MAX_DIGITS else -1


def is_plain(value: bytes) -> bool:
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

    def read_again(self, data: bytes, credential_headers: frozenset[bytes]) -> Found | None:
        """The head at the beginning of `data`, if it differs from a known one in the same lines as the head before that
        differed from it."""
        for known in self._heads:
            model = known.model
            if isinstance(model, HeadModel) and model.credential_headers is credential_headers:
                found = model.read_again(known, data)
                if found is not None:
                    return found
        return None

    def read(self, head: bytes, credential_headers: frozenset[bytes]) -> Found | None:
        """A whole head that differs from a known one in values only."""
        if len(head) > MAX_REMEMBERED:
            return None
        found = self.read_again(head, credential_headers)
        if found is not None:
            return found
        lines = head[: -len(b"\r\n\r\n")].split(b"\r\n")
        for known in self._heads:
            model = known.model
            if not isinstance(model, HeadModel) or model.credential_headers is not credential_headers:
                model = known.model = HeadModel(known, credential_headers)
            read = model.read(lines)
            if read is not None:
                return known, read[0], len(head), read[1]
        return None
