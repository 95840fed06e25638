"""The sessions whose clients have a connection open: those of local servers keep their process meanwhile."""

from __future__ import annotations

from collections import Counter


class Attendance:
    """Counts open connections by the server's id of a session."""

    __slots__ = ("_open",)

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()

    def enter(self, id: str) -> None:
        """A connection has been used for the session."""
        self._open[id] += 1

    def leave(self, id: str) -> None:
        """A connection of the session has closed."""
        self._open[id] -= 1
        if self._open[id] <= 0:
            del self._open[id]

    def __contains__(self, id: str) -> bool:
        """Whether the session's client has a connection open."""
        return id in self._open
