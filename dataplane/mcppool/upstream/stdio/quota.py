"""Limits on the processes that the local servers of a pool run, in all and for one client."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from math import inf
from time import monotonic
from typing import NoReturn

TELL_EVERY = 10.0  # seconds between two log lines about refusals


class TooManyProcesses(Exception):
    """Another process would exceed a limit; `str` names the limit's key."""


class Quota:
    """Counts the processes of all replicas of a pool."""

    def __init__(self, most: int, most_per_client: int, on_refusal: Callable[[str], None] = lambda _why: None) -> None:
        self.running = 0
        self._refused = 0
        self._told = -inf
        self._on_refusal = on_refusal
        self._clients: Counter[str] = Counter()
        self.configure(most, most_per_client)

    def configure(self, most: int, most_per_client: int) -> None:
        """Apply changed limits; running processes go on."""
        self._most = most
        self._most_per_client = most_per_client

    @property
    def full(self) -> bool:
        """Whether `local.max_processes` is reached: then only the replicas' first processes may run."""
        return self.running >= self._most

    def demand(self, client: str) -> None:
        """Raise TooManyProcesses if `client` may have no further process."""
        if client and self._clients[client] >= self._most_per_client:
            self._refuse(
                f"this client has {self._clients[client]} processes, as many as local.max_processes_per_client allows"
            )

    def demand_room(self) -> None:
        """Raise TooManyProcesses if no further process may run."""
        if self.full:
            self._refuse(f"{self.running} processes run, as many as local.max_processes allows")

    def _refuse(self, why: str) -> NoReturn:
        """Log it from time to time, and raise."""
        self._refused += 1
        now = monotonic()
        if now - self._told >= TELL_EVERY:
            self._on_refusal(f"{why} ({self._refused} refused since the last report)")
            self._told, self._refused = now, 0
        raise TooManyProcesses(why)

    def charge(self, client: str) -> None:
        """A session of `client` has got a process."""
        if client:
            self._clients[client] += 1

    def release(self, client: str) -> None:
        """Its process has ended."""
        if client:
            self._clients[client] -= 1
            if self._clients[client] <= 0:
                del self._clients[client]
