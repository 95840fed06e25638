"""The lines that a local program writes to its standard error, for the message about its failure."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from mcppool.observe import logs

SHOWN = 5
"""Last lines that are shown: the cause is nearly always among them."""


class ProgramWords:
    """Keeps the last lines that programs of this process's pools have written."""

    def __init__(self) -> None:
        self._lines: deque[str] = deque(maxlen=SHOWN)

    def hear(self, event: str, fields: Mapping[str, object]) -> None:
        """Take an event of the log."""
        if event == "server_stderr":
            self._lines.append(str(fields["detail"]))

    def __str__(self) -> str:
        """The lines, to be put behind a message; empty without any."""
        return "".join(f"\n  it wrote: {line}" for line in self._lines)


@contextmanager
def program_words() -> Iterator[ProgramWords]:
    """The words of programs that pools run in the block."""
    words = ProgramWords()
    logs.overhear(words.hear)
    try:
        yield words
    finally:
        logs.overhear(None)
