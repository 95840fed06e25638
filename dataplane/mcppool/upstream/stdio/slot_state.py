"""The visible state of one replica of a local server."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class SlotState:
    """The visible state of a replica.

    `trouble` is the reason why it does not run; `unreadable` counts lines of its output that are no messages,
    `first_unreadable` is the first of them; `last_end` describes the last end of a process of it. `first` is the
    process id of the process that answers the checks, 0 for none; `apart`: all clients have sessions with processes of
    their own.
    """

    processes: int = 0
    starts: int = 0
    trouble: str = "its program is being started"
    unreadable: int = 0
    first_unreadable: str = ""
    last_end: str = ""
    first: int = 0
    apart: bool = False
