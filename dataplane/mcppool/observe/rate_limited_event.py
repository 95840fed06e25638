"""Events that somebody else can provoke as often as they like: written once in a while, with a count of the others."""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Final

from mcppool.observe.logs import Logger

INTERVAL: Final = 10.0
"""Seconds between two lines of the same kind."""
MAX_KINDS: Final = 256
"""Kinds whose last line is remembered; where there are more, all further ones count as one."""


class RateLimitedEvent:
    """Writes warnings to `log`: of each kind at most one in `interval` seconds, and the next one says how many were
    left out."""

    def __init__(self, log: Logger, interval: float = INTERVAL, clock: Callable[[], float] = monotonic) -> None:
        self._log = log
        self._interval = interval
        self._clock = clock
        self._kinds: dict[str, tuple[float, int]] = {}  # until when lines are left out, and how many were

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
