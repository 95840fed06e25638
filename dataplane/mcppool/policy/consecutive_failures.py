"""Failures in a row, and whether one client causes them all, which must not affect other clients.

A client is a principal, else a session, else a connection. Two principals, or two addresses, are two clients. Sessions
and connections from one address may all belong to one client, which opens a new one for each call; so they count as two
clients only after two of them have failed twice.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import NamedTuple

PERSISTENT = 5.0
"""Seconds without a success after which failures count against the server, not against a client."""

MAX_TOLD_APART = 16
"""Upper bound on the distinct clients of one origin in one row."""


class ClientKey(NamedTuple):
    """The calling client: `key` is the principal, session or connection, `origin` the principal or the address."""

    key: Hashable
    origin: Hashable


class ConsecutiveFailures:
    """Failures without a success in between. False if there are none."""

    __slots__ = ("_counts", "_origin", "_since", "length", "shared")

    def __init__(self) -> None:
        self.length = 0
        self.shared = False
        self._origin: Hashable = None
        self._since = 0.0
        self._counts: dict[Hashable, int] = {}

    def __bool__(self) -> bool:
        """Whether there are failures."""
        return self.length > 0

    def end(self) -> None:
        """A success."""
        if self.length:
            self.length = 0
            self.shared = False
            self._counts.clear()

    def add(self, client: ClientKey, now: float) -> None:
        """One more failure, of this client."""
        counts = self._counts
        if not self.length:
            self._origin, self._since = client.origin, now
        elif client.origin != self._origin:
            self.shared = True
        self.length += 1
        if client.key in counts or len(counts) < MAX_TOLD_APART:
            counts[client.key] = counts.get(client.key, 0) + 1
            self.shared = self.shared or sum(count > 1 for count in counts.values()) > 1

    def of(self, client: ClientKey) -> int:
        """Number of this client's failures."""
        return self._counts.get(client.key, 0)

    @property
    def mixed(self) -> bool:
        """Whether at least two clients of any kind caused them."""
        return self.shared or len(self._counts) > 1

    def persists(self, now: float) -> bool:
        """Whether only failures have come for `PERSISTENT` seconds."""
        return self.length > 0 and now - self._since >= PERSISTENT
