"""The time of the next health check, where several processes check the same endpoint: the one whose turn comes first
checks for all, and the others put theirs off."""

from __future__ import annotations

from typing import Final

PUT_OFF_MOST: Final = 10
"""Checks in a row that others make in place of one process. Then it makes one itself: its session at the server must
not expire, and its own way to the server is to be known."""


class CheckTurn:
    """The turns of one process. `now` is in monotonic seconds."""

    __slots__ = ("_due", "_put_off")

    def __init__(self) -> None:
        self._due = 0.0
        self._put_off = 0

    def begin(self, now: float, wait: float) -> None:
        """A check was made here; the next one is due after `wait` seconds."""
        self._due = now + wait
        self._put_off = 0

    def put_off(self, now: float, wait: float) -> None:
        """Another process has made a check."""
        if self._put_off < PUT_OFF_MOST:
            self._put_off += 1
            self._due = now + wait

    def left(self, now: float) -> float:
        """Seconds until the next check; 0 or less if it is due."""
        return self._due - now
