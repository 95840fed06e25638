"""Text in a terminal: tables, and text from outside that must not control it."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from typing import Final

MAX_COLUMN: Final = 60
"""Widest column of a table. A longer cell is shown whole, and moves the rest of its own row alone."""


def printable(text: str) -> str:
    """Return the text with `?` for each character that could control the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines, which stay lines."""
    return "\n".join(printable(line.expandtabs()) for line in text.splitlines())


def width_of(text: str) -> int:
    """The columns that a printable text takes: two for each wide character, none for an accent on the one before."""
    return len(text) if text.isascii() else sum(map(_width_of, text))


def _width_of(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def padded(text: str, width: int, *, right: bool = False) -> str:
    """The text with blanks up to `width` columns; with `right`, the blanks come first."""
    blanks = " " * (width - width_of(text))
    return blanks + text if right else text + blanks


def column_widths(cells: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column of a table: that of its widest cell, at most `MAX_COLUMN`."""
    return [min(MAX_COLUMN, max(map(width_of, column))) for column in zip(*cells, strict=True)]


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table."""
    cells = [head, *([printable(cell) for cell in row] for row in rows)]
    widths = column_widths(cells)
    for row in cells:
        yield "  ".join(padded(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()
