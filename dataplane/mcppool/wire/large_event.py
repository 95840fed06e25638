"""A large event that is passed on while it comes: where its data begins, and where it ends."""

from __future__ import annotations

import re
from collections.abc import Generator
from typing import Final

from mcppool.wire.sse import STEP, first_line_end

_BEGINNING: Final = re.compile(
    rb"(?:(?:event: ?message|id: ?(?P<id>[!-~]{0,256})|retry: ?[0-9]{1,9}|:[^\r\n]{0,256})(?:\r\n|\n))*data: ?"
)
_KEPT: Final = 64
"""Bytes of a line that are kept until its end has come: enough for the name of its field."""


def data_begins(beginning: bytes) -> tuple[int, str | None] | None:
    """The place of the data in the beginning of an event, and the event's id; None for an event that `EventParser` must
    read. A `message` event with its fields before its data needs no parser."""
    found = _BEGINNING.match(beginning)
    if found is None:
        return None
    id = found["id"]
    return found.end(), None if id is None else id.decode("ascii")


def data_only(end: bytes) -> bytes:
    """The end of an event with spaces in the place of bytes that are no data, so that all data keep their places.

    The first line is the end of a line of data, or short, so that its field does not matter.
    """
    lines = end.splitlines(keepends=True)
    for number, line in enumerate(lines):
        text = line.rstrip(b"\r\n")
        if number:
            text = b"     " + text[5:] if text.startswith(b"data:") else b""
        lines[number] = text.ljust(len(line))
    return b"".join(lines)


class EventEnd:
    """Finds the end of an event whose parts follow each other, from the first line of its data on.

    Call `goes_on` with each part, and `find` where that returns False.
    """

    __slots__ = ("_after_cr", "_line", "renamed")

    def __init__(self) -> None:
        self.renamed = False
        """Whether a line behind its data gives the event another type than `message`: clients do not take it for a
        message then."""
        self._line = b"data"  # the beginning of the unfinished line
        self._after_cr = False  # an LF may follow that belongs to the last line end

    @property
    def ended(self) -> bool:
        """Whether the last part ended with a CR that ends the event if no more bytes come."""
        return self._after_cr and self._line == b"\r"

    def goes_on(self, part: bytes, at: int = 0) -> bool:
        """Take a part, from `at` on, if it lies within one line: the usual case."""
        if self._after_cr or part.find(b"\n", at) >= 0 or part.find(b"\r", at) >= 0:
            return False
        self._keep(part[at : at + _KEPT])
        return True

    def find(self, part: bytes, at: int = 0) -> Generator[None, None, int]:
        """Take any part, from `at` on: the place behind the end of the event, -1 if it is not there. In steps of some
        milliseconds."""
        if self._after_cr:
            at += part.startswith(b"\n", at)
            if self.ended:
                return at
            self._after_cr = False
        line_end = first_line_end(part, at)
        self._keep(part[at : min(line_end, at + _KEPT)])
        at = line_end
        size = len(part)
        while at < size:
            stop = min(at + STEP, size)
            if part[stop - 1 : stop + 1] == b"\r\n":
                stop += 1
            for line in part[at:stop].splitlines(keepends=True):
                at += len(line)
                if self._take(line, last=at == size):
                    return at
            yield
        return -1

    def _take(self, line: bytes, *, last: bool) -> bool:
        """Take a line or the rest of one, with its end if that has come. Return whether it ends the event."""
        text = line.rstrip(b"\r\n")
        self._keep(text)
        if len(text) == len(line):
            return False
        empty = not self._line
        if not empty:
            self._read()
        self._line = b""
        if last and line.endswith(b"\r"):
            self._after_cr = True
            if empty:
                self._line = b"\r"
            return False
        return empty

    def _keep(self, text: bytes) -> None:
        if len(self._line) < _KEPT:
            self._line = (self._line + text[:_KEPT])[:_KEPT]

    def _read(self) -> None:
        field, _, value = self._line.partition(b":")
        if field == b"event":
            self.renamed = value.removeprefix(b" ") not in (b"", b"message")
