"""Outline of a message that is too large to read in one step: the message without long values that the gateway skips.

`read_outline` reads it in slices (`slices`): its caller does other work between two of them. All decisions are made on
the outline; the message itself is passed on unchanged.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Generator, Sequence
from typing import Final

import msgspec

from mcppool.wire import versions
from mcppool.wire.errors import INVALID_REQUEST, BadEnvelope
from mcppool.wire.members import BOM, MAX_MEMBERS, without_lone_surrogates
from mcppool.wire.slices import SLICE, SlicedReader, demand, not_json

MAX_OUTLINE: Final = 1 << 20
"""Upper bound in bytes on an outline."""
SHORT: Final = 1024
"""Bytes of a value that always stays in the outline."""
SHORT_SPACE: Final = 32
"""Bytes of white space that stay."""
A_STEP: Final = 100
"""Members that are read in one step."""

_EMPTY: Final = {b"{": b"{}", b"[": b"[]", b'"': b'""'}

_NAME = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"', re.DOTALL)


class _Part:
    """One object of a message. `read` are the members whose values the gateway reads; `opened` are those whose own
    members it reads."""

    __slots__ = ("opened", "read")

    def __init__(self, *read: str, **opened: _Part) -> None:
        self.read = frozenset(_encode(name) for name in read)
        self.opened = {_encode(name): part for name, part in opened.items()}


_encode = msgspec.json.Encoder().encode
_META: Final = _Part(
    versions.META_PROTOCOL_VERSION, versions.META_SUBSCRIPTION_ID, versions.META_PROGRESS_TOKEN,
    versions.META_RELATED_TASK,
)  # fmt: skip
_INFO: Final = _Part()  # its icons may be long
_PARAMS: Final = _Part(
    "name", "uri", "taskId", "cursor", "requestState", "notifications", "level", "protocolVersion", "capabilities",
    "progressToken", "requestId", _meta=_META, clientInfo=_INFO,
)  # fmt: skip
_RESULT: Final = _Part(
    "resultType", "isError", "nextCursor", "requestState", "taskId", "tasks", "ttlMs", "cacheScope",
    "protocolVersion", "capabilities", _meta=_META, serverInfo=_INFO, task=_Part("taskId"),
)  # fmt: skip
_ENVELOPE: Final = _Part("jsonrpc", "id", "method", params=_PARAMS, result=_RESULT, error=_Part("code"))

_decode_text = msgspec.json.Decoder(str).decode

LeftOut = tuple[int, int, bytes]


class Outline:
    """`text` is the message without its long values, which are `left_out`: (start, end, replacement). `start_of` and
    `end_of` convert a position in `text` to one in the message."""

    __slots__ = ("_runs", "_starts", "left_out", "text")

    def __init__(self, document: bytes, left_out: Sequence[LeftOut]) -> None:
        self.left_out = left_out
        parts: list[bytes] = []
        runs: list[tuple[int, int, int, int]] = []  # (start, end) in the text, (start, end) in the document
        size = at = 0
        for start, end, instead in (*left_out, (len(document), len(document), b"")):
            if start > at:
                runs.append((size, size + start - at, at, start))
                parts.append(bytes(document[at:start]))
                size += start - at
            if instead:
                runs.append((size, size + len(instead), start, end))
                parts.append(instead)
                size += len(instead)
            at = end
        self.text = b"".join(parts)
        self._runs = runs
        self._starts = [run[0] for run in runs]

    def start_of(self, position: int) -> int:
        """The beginning in the message of the token that begins at `position` of the text."""
        run = self._runs[bisect_right(self._starts, position) - 1]
        return run[2] + position - run[0]

    def end_of(self, position: int) -> int:
        """The end in the message of the token that ends at `position` of the text."""
        run = self._runs[bisect_right(self._starts, position - 1) - 1]
        return run[3] - (run[1] - position)


def read_outline(document: bytes) -> Generator[None, None, Outline]:
    """Read a message in steps of a millisecond. Raises BadEnvelope if it is no JSON in UTF-8, or if too much of it
    would stay in the outline."""
    return _OutlineReader(document).run()


class _OutlineReader(SlicedReader):
    """One reading. `left_out` are the values outside the outline, `kept` is the number of bytes in it."""

    def __init__(self, document: bytes) -> None:
        super().__init__(document)
        self._left_out: list[LeftOut] = []
        self._kept = 0

    def run(self) -> Generator[None, None, Outline]:
        yield from self.check_text()
        if self.document.startswith(BOM):
            self.at = len(BOM)
            self._left_out.append((0, self.at, b""))
        yield from self._space()
        if self.document[self.at : self.at + 1] == b"{":
            yield from self._members(_ENVELOPE)
        else:
            start = self.at
            yield from self.value()
            self._leave_out(start)
        yield from self._space()
        if self.at < self._size:
            raise not_json("trailing characters")
        return Outline(self.document, self._left_out)

    def _space(self) -> Generator[None, None, None]:
        start = self.at
        yield from self.space()
        if self.at - start > SHORT_SPACE:
            self._left_out.append((start, self.at, b" "))

    def _members(self, part: _Part) -> Generator[None, None, None]:
        document = self.document
        self.at += 1
        count = 0
        to_open = dict(part.opened)
        while True:
            yield from self._space()
            if not count and document[self.at : self.at + 1] == b"}":
                break
            name = self._name()
            count += 1
            if count % A_STEP == 0:
                yield
            if count > MAX_MEMBERS:
                text = f"more than {MAX_MEMBERS} members in one object"
                raise BadEnvelope(INVALID_REQUEST, text, "too_many_members")
            yield from self._space()
            self._take(b":")
            yield from self._space()
            start = self.at
            if document[start : start + 1] == b"{" and (inner := to_open.pop(name, None)) is not None:
                yield from self._members(inner)  # readers of the outline refuse a second one
            else:
                yield from self.value()
                self._leave_out(start, name if name in part.read else b"")
            yield from self._space()
            if document[self.at : self.at + 1] == b"}":
                break
            self._take(b",")
        self.at += 1

    def _name(self) -> bytes:
        found = _NAME.match(self.document, self.at, self.at + SLICE)
        if found is None:
            if self.document[self.at : self.at + 1] == b'"' and self.at + SLICE < self._size:
                text = f"a member's name of more than {SLICE} bytes"
                raise BadEnvelope(INVALID_REQUEST, text, "member_too_large")
            raise not_json("expected the name of a member")
        name = found[0]
        self._keep(len(name))
        demand(name)
        self.at = found.end()
        return _as_usual(name) if b"\\" in name else name

    def _leave_out(self, start: int, read: bytes = b"") -> None:
        """Keep only the type of a value, if it is long and the gateway does not read it. `read` is the name of a member
        that it reads."""
        size = self.at - start
        if size <= SHORT or read:
            self._keep(size, read)
        else:
            self._left_out.append((start, self.at, _EMPTY.get(bytes(self.document[start : start + 1]), b"0")))

    def _keep(self, size: int, name: bytes = b"") -> None:
        self._kept += size
        if self._kept > MAX_OUTLINE:
            text = f"more than {MAX_OUTLINE} bytes of members besides arguments and results"
            if size > MAX_OUTLINE // 2 and name:
                text += f": {name.decode()} alone has {size} bytes"
            raise BadEnvelope(INVALID_REQUEST, text, "too_many_members")

    def _take(self, token: bytes) -> None:
        if self.document[self.at : self.at + 1] != token:
            raise not_json(f"expected {token.decode()!r}")
        self.at += 1


def _as_usual(name: bytes) -> bytes:
    """A name without needless escapes, so that decisions do not depend on its spelling."""
    try:
        return _encode(_decode_text(without_lone_surrogates(name)))
    except ValueError:
        return name
