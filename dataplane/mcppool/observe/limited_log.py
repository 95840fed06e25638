"""A logger for events that every call may cause: a burst of lines, then a count of the omitted ones."""

from __future__ import annotations

from time import monotonic

from mcppool.observe.logs import Logger
from mcppool.policy.token_bucket import TokenBucket

BURST = 50.0
"""Lines of one event that are written at once."""

PER_SECOND = 2.0
"""Lines of one event per second in the long run."""


class LimitedLog:
    """Lines of one logger about one pool, limited by event. `events` must come from a small fixed set."""

    __slots__ = ("_buckets", "_left_out", "_log", "_pool")

    def __init__(self, log: Logger, pool: str) -> None:
        self._log = log
        self._pool = pool
        self._buckets: dict[str, TokenBucket] = {}
        self._left_out: dict[str, int] = {}

    def warning(self, event: str, /, **fields: object) -> None:
        """Write the line, or count it."""
        self._write(event, fields, warn=True)

    def event(self, event: str, /, **fields: object) -> None:
        """The same at level info."""
        self._write(event, fields, warn=False)

    def sweep(self) -> None:
        """Log the count of omitted lines when no more come."""
        now = monotonic()
        for event, count in list(self._left_out.items()):
            if not self._buckets[event].take(PER_SECOND, BURST, now):
                del self._left_out[event]
                self._log.warning("lines_left_out", pool=self._pool, of=event, left_out=count)

    def _write(self, event: str, fields: dict[str, object], *, warn: bool) -> None:
        now = monotonic()
        bucket = self._buckets.get(event)
        if bucket is None:
            bucket = self._buckets[event] = TokenBucket(BURST, now)
        if bucket.take(PER_SECOND, BURST, now):
            self._left_out[event] = self._left_out.get(event, 0) + 1
            return
        left_out = self._left_out.pop(event, 0)
        if left_out:
            fields["left_out"] = left_out
        (self._log.warning if warn else self._log.event)(event, pool=self._pool, **fields)
