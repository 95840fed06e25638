"""The sessions with a connected client. A local server keeps the process of such a session."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable


class Attendance:
    """Counts open connections by the server's id of a session. `on_change` is called when a session gets its first
    connection (True), and when it has lost its last one (False)."""

    __slots__ = ("_open", "on_change")

    def __init__(self) -> None:
        self._open: Counter[str] = Counter()
        self.on_change: Callable[[str, bool], None] | None = None

    def enter(self, id: str) -> None:
        """A connection has been used for the session."""
        self._open[id] += 1
        if self.on_change is not None and self._open[id] == 1:
            self.on_change(id, True)

    def leave(self, id: str) -> None:
        """A connection of the session has closed."""
        self._open[id] -= 1
        if self._open[id] <= 0:
            del self._open[id]
            if self.on_change is not None:
                self.on_change(id, False)

    def __contains__(self, id: str) -> bool:
        """Whether the session's client has a connection open."""
        return id in self._open
