"""Schedules the reads of connections with a backlog: in turns, so that no connection delays the others."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import Final, Protocol

TURN: Final = 0.004
"""Seconds that one turn of the loop gives to all connections with a backlog."""
DISCARD_EVERY: Final = 0.005
"""Seconds between two reads of discarded bodies, of all connections together: some 50 MB per second."""


class Reading(Protocol):
    """The part of a connection that reads."""

    def read_on(self) -> None:
        """Read a part of the received bytes."""

    def resume(self) -> None:
        """Take more bytes from the socket."""


class ReadScheduler:
    """Gives the connections of one listener their turns."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._behind: deque[Reading] = deque()
        self._discarding: deque[Reading] = deque()
        self._turning = False  # `_turn` is running or scheduled

    def read_later(self, connection: Reading) -> None:
        """Let a connection read on after the turns of those before it."""
        self._behind.append(connection)
        if not self._turning:
            self._turning = True
            self._loop.call_soon(self._turn)

    def discard_later(self, connection: Reading) -> None:
        """Let a connection with a discarded body take more bytes after those before it."""
        if not self._discarding:
            self._loop.call_later(DISCARD_EVERY, self._discard_turn)
        self._discarding.append(connection)

    def _turn(self) -> None:
        behind = self._behind
        end = monotonic() + TURN
        for _ in range(len(behind)):
            behind.popleft().read_on()
            if monotonic() >= end:
                break
        self._turning = bool(behind)
        if behind:
            self._loop.call_soon(self._turn)

    def _discard_turn(self) -> None:
        self._discarding.popleft().resume()
        if self._discarding:
            self._loop.call_later(DISCARD_EVERY, self._discard_turn)
