"""Events that outsiders can cause as often as they like: written from time to time, with a count of the others."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from mcppool.observe.logs import Logger

INTERVAL: Final = 10.0
"""Seconds between two lines of the same kind."""
MAX_KINDS: Final = 256
"""Kinds whose last line is remembered; above it, all further ones count as one."""


class RateLimitedEvent:
    """Writes warnings to `log`: at most one of each kind in `interval` seconds, and the next one gives the number of
    omitted ones."""

    def __init__(self, log: Logger, interval: float = INTERVAL, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._interval = interval
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}  # until when lines are omitted, and the number omitted

    def warning(self, event: str, kind: str, /, **fields: object) -> None:
        """Log one event. Each `kind` has a rate limit of its own."""
        key = f"{event} {kind}"
        if key not in self._kinds and len(self._kinds) >= MAX_KINDS:
            key = event
        now = self._clock()
        until, left_out = self._kinds.get(key, (0.0, 0))
        if now < until:
            self._kinds[key] = until, left_out + 1
            return
        self._kinds[key] = now + self._interval, 0
        self._log.warning(event, **fields, **({"left_out": left_out} if left_out else {}))
