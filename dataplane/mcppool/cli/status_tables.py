"""The tables of the status page in a terminal, with the colours of states."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from mcppool.cli.terminal import column_widths, padded, printable

SHOWN: Final = 20
"""Rows of a long table, unless all of them are asked for."""

_RED, _YELLOW, _GREEN, _FAINT, _BOLD, _PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[32m", "\x1b[2m", "\x1b[1m", "\x1b[0m"
_COLOURS: Final = {
    **dict.fromkeys(("healthy", "available", "closed"), _GREEN),
    **dict.fromkeys(("degraded", "busy", "joining", "draining", "half_open"), _YELLOW),
    **dict.fromkeys(("unhealthy", "failing", "ejected", "unreachable", "hung", "open"), _RED),
}
_RANK: Final = {_RED: 0, _YELLOW: 1, _GREEN: 2}


class StatusTables:
    """Tables and words. `colour`: with the codes of ANSI terminals; `everything`: also the rest of long tables."""

    def __init__(self, *, colour: bool, everything: bool) -> None:
        self._colour = colour
        self._everything = everything

    def part(self, title: str, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
        """A table under its title; nothing if it is empty."""
        if rows:
            yield ""
            yield title
            yield from self.table(head, rows)

    def long_table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
        """A table that may be long, and then ends early."""
        shown = rows if self._everything else rows[:SHOWN]
        if rows:
            yield from self.table(head, shown)
        if len(rows) > len(shown):
            yield self.faint(f"and {len(rows) - len(shown)} more; --all shows them")

    def table(self, head: Sequence[str], rows: Sequence[Sequence[object]]) -> Iterator[str]:
        """Columns as wide as their cells; numbers are aligned to the right."""
        cells = [head, *([printable(str(cell)) for cell in row] for row in rows)]
        widths = column_widths(cells)
        right = [bool(rows) and all(isinstance(row[column], int) for row in rows) for column in range(len(head))]
        for number, row in enumerate(cells):
            aligned = [
                padded(cell, width, right=to_right) for cell, width, to_right in zip(row, widths, right, strict=True)
            ]
            aligned[-1] = aligned[-1].rstrip()
            text = "  ".join(aligned).rstrip() if not self._colour else "  ".join(map(self.painted, aligned))
            yield self.faint(text) if number == 0 else text

    def painted(self, text: str, word: str | None = None) -> str:
        """The text in the colour of a state, if it is one (or `word` is)."""
        code = _COLOURS.get(word or text.strip()) if self._colour else None
        return text if code is None else f"{code}{text}{_PLAIN}"

    def faint(self, text: str) -> str:
        """The text, less bright."""
        return f"{_FAINT}{text}{_PLAIN}" if self._colour and text else text

    def bold(self, text: str) -> str:
        """The text, in bold letters."""
        return f"{_BOLD}{text}{_PLAIN}" if self._colour else text


def rank(state: str) -> int:
    """The place of a state where problems come first."""
    return _RANK[_COLOURS.get(state, _RED)]
