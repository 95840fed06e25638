"""A text that is drawn again and again in a terminal's window: no line wraps, and the first lines stay in view."""

from __future__ import annotations

import os
import re
from typing import IO, Final

from mcppool.cli.terminal import width_of

_HOME, _TO_END_OF_LINE, _TO_END_OF_WINDOW, _PLAIN = "\x1b[H", "\x1b[K", "\x1b[J", "\x1b[0m"
_COLOUR: Final = re.compile("(\x1b\\[[0-9;]*m)")


def can_redraw(stream: IO[str]) -> bool:
    """Whether a stream is a window whose cursor can move."""
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def drawn(text: str, size: os.terminal_size) -> str:
    """The text over the one before, cut to the window. What scrolled off the window earlier stays there."""
    lines = text.split("\n")
    room = max(size.lines - 1, 1)  # the cursor stands in the last line
    if len(lines) > room:
        lines = [*lines[: room - 1], f"… {len(lines) - room + 1} more lines; `mcppool status` prints all"]
    shown = (cut(line, size.columns - 1) + _TO_END_OF_LINE + "\n" for line in lines)
    return f"{_HOME}{''.join(shown)}{_TO_END_OF_WINDOW}"


def cut(line: str, columns: int) -> str:
    """The beginning of a line that takes at most so many columns. Colours take none, and end with the line."""
    kept: list[str] = []
    left = columns
    for part in _COLOUR.split(line):
        if _COLOUR.fullmatch(part):
            kept.append(part)
        elif (width := width_of(part)) <= left:
            kept.append(part)
            left -= width
        else:
            kept.append(_beginning(part, left))
            return "".join(kept) + (_PLAIN if len(kept) > 1 else "")
    return "".join(kept)


def _beginning(text: str, columns: int) -> str:
    for at, character in enumerate(text):
        columns -= width_of(character)
        if columns < 0:
            return text[:at]
    return text
