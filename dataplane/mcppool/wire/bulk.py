"""Messages that are too large to be handled in one step.

The parser takes up to a second to read 64 MiB of JSON, during which nothing else would happen, and copying takes 60 ms.
So the bytes of a large message stay where they came in, as `Bulk`. It is read in slices, and all decisions are made on
its outline (`outline`).
"""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Final, TypeVar

from mcppool.wire.errors import BadEnvelope
from mcppool.wire.outline import Outline, read_outline

BULK: Final = 1 << 20
"""Bytes of a message above which it is read in slices. Below, the most expensive message takes some 20 ms."""
COPIED: Final = 1 << 20
"""Bytes that are copied in one step, which takes a millisecond."""

_T = TypeVar("_T")

if TYPE_CHECKING:

    class _Buffer(bytes):
        def extend(self, more: bytes) -> None: ...
        def __delitem__(self, which: slice) -> None: ...
        def __setitem__(self, which: slice, value: bytes) -> None: ...
else:
    _Buffer = bytearray


class Bulk(_Buffer):
    """The bytes of a message; `read_in_slices` sets `outline` or `problem`.

    It grows while the bytes come in. From then on it does not change, and to type checkers it is `bytes`; it only lacks
    a hash.
    """

    __slots__ = ("edited", "outline", "problem")

    edited: bool  # set if it was changed in place
    outline: Outline
    problem: tuple[int, str, str]  # code, message, reason: an exception would keep the message in memory


def read_in_slices(document: Bulk) -> Generator[None, None, None]:
    """Set the outline of a message, or its problem, in steps of a millisecond."""
    try:
        document.outline = yield from read_outline(document)
    except BadEnvelope as bad:
        document.problem = bad.code, bad.message, bad.reason


def was_edited(document: bytes) -> bool:
    """Whether it is a `Bulk` that was changed in place."""
    return getattr(document, "edited", False)


def outline_of(document: bytes) -> Outline:
    """The outline of a large message, made now if it does not exist. Raises BadEnvelope."""
    known: Outline | None = getattr(document, "outline", None)
    if known is not None:
        return known
    problem: tuple[int, str, str] | None = getattr(document, "problem", None)
    if problem is not None:
        raise BadEnvelope(*problem)
    return finish(read_outline(document))


def copy(document: bytes, outline: Outline) -> Generator[None, None, Bulk]:
    """A copy of a message with a known outline, in steps of a millisecond."""
    made = Bulk()
    for at in range(0, len(document), COPIED):
        made.extend(document[at : at + COPIED])
        yield
    made.outline = outline
    return made


def replace_in(document: Bulk, old: Outline, start: int, end: int, value: bytes) -> None:
    """Put `value` in the place of the bytes from `start` to `end` of a message, which are the value of a member in its
    outline. The bytes after it move, which takes some 10 ms for 64 MiB."""
    document[start:end] = value
    document.edited = True
    moved = len(value) - (end - start)
    before = [each for each in old.left_out if each[1] <= start]
    after = [(a + moved, b + moved, instead) for a, b, instead in old.left_out if a >= end]
    document.outline = Outline(document, before + after)


def finish(steps: Generator[None, None, _T]) -> _T:
    """Run a generator to its end at once, and return its result."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: _T = end.value
            return result
