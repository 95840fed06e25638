"""The delay of the event loop: the only fact that a process can measure about its own liveness."""

from __future__ import annotations

import asyncio


class LoopLag:
    """Sets an alarm every `interval` seconds and measures its delay."""

    def __init__(self, interval: float = 0.5) -> None:
        self._interval = interval
        self._loop: asyncio.AbstractEventLoop | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._last = 0.0

    def start(self) -> None:
        """Begin, on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._alarm = self._loop.call_later(self._interval, self._ring)

    def stop(self) -> None:
        """Stop measuring; the lag keeps its last value."""
        if self._alarm is not None:
            self._alarm.cancel()

    @property
    def seconds(self) -> float:
        """The delay of the last alarm, or of one that is overdue now."""
        if self._loop is None or self._alarm is None:
            return 0.0
        return max(self._last, self._loop.time() - self._alarm.when())

    def _ring(self) -> None:
        assert self._loop is not None
        assert self._alarm is not None
        self._last = max(0.0, self._loop.time() - self._alarm.when())
        self._alarm = self._loop.call_later(self._interval, self._ring)
