"""An event stream that is a single event with one line of data, as servers write one answer."""

from __future__ import annotations

import re
from typing import Final

_BEGINNING: Final = re.compile(rb"(?:event: ?message(?:\r\n|\n)|id: ?[!-~]{0,256}(?:\r\n|\n))*data: ?")
_ENDS: Final = (b"\r\n\r\n", b"\n\n")


def data_of(stream: bytes) -> tuple[int, int] | None:
    """(start, end) of the data of the only event, a message; None for everything else, which `EventParser` reads."""
    beginning = _BEGINNING.match(stream)
    if beginning is None:
        return None
    start = beginning.end()
    for end in _ENDS:
        if stream.endswith(end):
            stop = len(stream) - len(end)
            whole = stop > start and stream.find(b"\n", start, stop) < 0 and stream.find(b"\r", start, stop) < 0
            return (start, stop) if whole else None
    return None
