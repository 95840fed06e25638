"""The durations of OpenTelemetry's conventions for MCP: of operations and sessions, at both sides of the gateway.

`mcp.server.*` is what clients see, `mcp.client.*` what servers give. Every sampled or unsampled call counts, so an
operation costs one look-up and one append: values are counted in batches, which takes a fraction of the time.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from math import inf
from threading import Lock
from time import time_ns
from typing import Final, NamedTuple

from mcppool.observe.histogram import Histogram

BOUNDS: Final[tuple[float, ...]] = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the buckets in seconds, as the conventions advise."""
MAX_SERIES: Final = 2048
"""Upper bound on the series of one family. Beyond it, operations count without tool and version."""


BATCH: Final = 128
"""Values that wait to be counted, of one series."""

_counting: Final = Lock()


class BatchedHistogram(Histogram):
    """A histogram whose new values wait in a list until `count_waiting`, and in the lists of `shared` series. The event
    loop adds values; any thread may count them, because it takes away only those that it has seen."""

    __slots__ = ("_ends", "shared", "waiting")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        super().__init__(bounds)
        self._ends: tuple[float, ...] = (-inf, *bounds, inf)
        self.waiting: list[float] = []
        self.shared: list[UsualDurations] = []

    def observe(self, value: float) -> None:
        """See `Histogram`."""
        self.waiting.append(value)
        if len(self.waiting) >= BATCH:
            self.count_waiting(wait=False)

    def count_waiting(self, *, wait: bool = True) -> None:
        """Count the values that wait. Without `wait`, they go on waiting if another thread counts at the moment."""
        if not _counting.acquire(blocking=wait):
            return
        try:
            for usual in self.shared:
                usual.spread()
            values = _taken(self.waiting)
            self.add(self.sorted_in(values), sum(values))
        finally:
            _counting.release()

    def add(self, counts: list[tuple[int, int]], total: float) -> None:
        """Add counts by bucket, and the sum of their values."""
        for bucket, count in counts:
            self.counts[bucket] += count
        self.total += total

    def sorted_in(self, values: list[float]) -> list[tuple[int, int]]:
        """The counts of `values`, by bucket."""
        if not values:
            return []
        # Values of one moment are mostly in the same bucket: two passes count all of them.
        low, high = min(values), max(values)
        bucket = bisect_left(self.bounds, low)
        if high <= self._ends[bucket + 1]:
            return [(bucket, len(values))]
        found, rest = [], sorted(values)
        while rest:
            bucket = bisect_left(self.bounds, rest[0])
            counted = bisect_right(rest, self._ends[bucket + 1])
            found.append((bucket, counted))
            del rest[:counted]
        return found


class UsualDurations:
    """The series at both sides that the successes of one tool count in, for clients with one version of the protocol.

    Values of calls whose attempt began with them are appended to `both`; `count_waiting` is due when `BATCH` of them
    wait.
    """

    __slots__ = ("_clients", "both", "servers")

    def __init__(self, clients: BatchedHistogram, servers: BatchedHistogram) -> None:
        self._clients = clients
        self.servers = servers
        self.both: list[float] = []
        clients.shared.append(self)
        servers.shared.append(self)

    def observe(self, call: float, attempt: float | None) -> None:
        """Count a call, and its attempt if it had one."""
        self._clients.observe(call)
        if attempt is not None:
            self.servers.observe(attempt)

    def count_waiting(self) -> None:
        """Count the values of `both`, unless another thread counts at the moment."""
        if _counting.acquire(blocking=False):
            try:
                self.spread()
            finally:
                _counting.release()

    def spread(self) -> None:
        """Count the values of `both` at both sides. Only for those who hold the lock."""
        values = _taken(self.both)
        counts, total = self._clients.sorted_in(values), sum(values)
        self._clients.add(counts, total)
        self.servers.add(counts, total)


def usual_durations(clients: BatchedHistogram, servers: BatchedHistogram) -> UsualDurations:
    """The usual durations of these two series: one object, however often it is asked for."""
    for found in clients.shared:
        if found.servers is servers:
            return found
    return UsualDurations(clients, servers)


def _taken(waiting: list[float]) -> list[float]:
    """The values that wait, taken away; another thread may append meanwhile."""
    values = waiting[:]
    del waiting[: len(values)]
    return values


class OperationKey(NamedTuple):
    """The labels of one series of operations; an empty one is absent. `error` is `error.type`, `code` the code of the
    JSON-RPC error."""

    method: str
    tool: str
    error: str
    code: str
    version: str


class SessionKey(NamedTuple):
    """The labels of one series of sessions."""

    version: str


class Durations:
    """The series of one family."""

    __slots__ = ("_series",)

    def __init__(self) -> None:
        self._series: dict[tuple[str, ...], BatchedHistogram] = {}

    def of(self, key: tuple[str, ...]) -> BatchedHistogram:
        """The series with these labels; beyond `MAX_SERIES`, one with fewer labels."""
        histogram = self._series.get(key)
        return self._admit(key) if histogram is None else histogram

    def items(self) -> Iterator[tuple[tuple[str, ...], Histogram]]:
        """All series with all of their values; another thread may ask for it."""
        found = list(self._series.items())
        for _, histogram in found:
            histogram.count_waiting()
        return iter(found)

    def _admit(self, key: tuple[str, ...]) -> BatchedHistogram:
        if len(self._series) >= MAX_SERIES:
            key = OperationKey(key[0], "", key[2], key[3], "") if len(key) > 1 else SessionKey("")
        return self._series.setdefault(key, BatchedHistogram(BOUNDS))


class PoolDurations:
    """The four families of one pool. `since` is the wall-clock time, in nanoseconds, since which they count."""

    __slots__ = ("client_operations", "client_sessions", "pool", "server_operations", "server_sessions", "since")

    def __init__(self, pool: str) -> None:
        self.pool = pool
        self.since = time_ns()
        self.server_operations = Durations()
        self.client_operations = Durations()
        self.server_sessions = Durations()
        self.client_sessions = Durations()
