"""The sessions of local servers that one connection uses: they keep their process while the connection is open."""

from __future__ import annotations

from typing import Final

from mcppool.pipeline.sessions.attendance import Attendance

MAX_ATTENDED: Final = 256
"""Upper bound on the sessions of one connection; a proxy may bring many on one connection."""


class AttendedSessions:
    """Enters each session once, and leaves all of them when the connection closes."""

    __slots__ = ("_closed", "_sessions")

    def __init__(self) -> None:
        self._closed = False
        self._sessions: dict[str, Attendance] = {}

    def enter(self, attendance: Attendance, id: str) -> None:
        """The connection was used for a session."""
        if not self._closed and id not in self._sessions and len(self._sessions) < MAX_ATTENDED:
            self._sessions[id] = attendance
            attendance.enter(id)

    def leave(self) -> None:
        """The connection is closed."""
        self._closed = True
        for id, attendance in self._sessions.items():
            attendance.leave(id)
        self._sessions.clear()
