"""The durations of OpenTelemetry's conventions for MCP: of operations and sessions, at both sides of the gateway.

`mcp.server.*` is what clients see, `mcp.client.*` what servers give. Every sampled or unsampled call counts, so this is
plain objects and one look-up for each operation.
"""

from __future__ import annotations

from collections.abc import Iterator
from time import time_ns
from typing import Final, NamedTuple

from mcppool.observe.histogram import Histogram

BOUNDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0)
"""Upper bounds of the buckets in seconds, as the conventions advise."""
MAX_SERIES: Final = 2048
"""Upper bound on the series of one family. Beyond it, operations count without tool and version."""


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
        self._series: dict[tuple[str, ...], Histogram] = {}

    def of(self, key: tuple[str, ...]) -> Histogram:
        """The series with these labels; beyond `MAX_SERIES`, one with fewer labels."""
        histogram = self._series.get(key)
        return self._admit(key) if histogram is None else histogram

    def items(self) -> Iterator[tuple[tuple[str, ...], Histogram]]:
        """A copy of all series; another thread may ask for it."""
        return iter(list(self._series.items()))

    def _admit(self, key: tuple[str, ...]) -> Histogram:
        if len(self._series) >= MAX_SERIES:
            key = OperationKey(key[0], "", key[2], key[3], "") if len(key) > 1 else SessionKey("")
        return self._series.setdefault(key, Histogram(BOUNDS))


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
