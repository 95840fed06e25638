"""Text in a terminal: tables, and text from outside that must not control it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence


def printable(text: str) -> str:
    """Return the text with `?` for each character that could control the terminal."""
    return "".join(character if character.isprintable() else "?" for character in text)


def printable_lines(text: str) -> str:
    """The same for a text of several lines, which stay lines."""
    return "\n".join(printable(line.expandtabs()) for line in text.splitlines())


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Iterator[str]:
    """The lines of a table whose columns are as wide as their cells; the last one is as wide as it is."""
    cells = [head, *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(head))]
    for row in cells:
        yield "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
