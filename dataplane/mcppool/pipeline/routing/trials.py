"""Trial calls: an endpoint on probation, or a half-open breaker of a tool there, gets one at a time from the gateway.

Within one process the records of the endpoint see to that. Several processes claim a trial before they make it.
"""

from __future__ import annotations

from typing import Final

from mcppool.pipeline.peers import Peers, TrialClaims
from mcppool.upstream.endpoint import Endpoint

SETTLING: Final = 1.0
"""Seconds after a failed trial in which no other process makes one: by then all have heard of the failure."""

_Name = tuple[str, str]


class Trials:
    """The claims of this process to trials in one pool. With one process each claim is granted, and none is kept.

    `held` has the claims by endpoint and tool, with the time at which to give it up if the trial has failed. Each call
    looks whether there are any.
    """

    def __init__(self, peers: Peers | None) -> None:
        self._claims: TrialClaims | None = peers.trials() if peers is not None else None
        self.held: dict[_Name, float | None] = {}

    def begin(self, endpoint: Endpoint, tool: str = "") -> bool:
        """Claim the trial of `endpoint`, or of a tool's breaker there; returns whether this process may make it."""
        if self._claims is None:
            return True
        name = endpoint.key, tool
        if name not in self.held and not self._claims.claim(*name):
            return False
        self.held[name] = None
        return True

    def end(self, endpoint: Endpoint, tool: str = "") -> None:
        """The trial is over: another process may make the next one."""
        name = endpoint.key, tool
        if self.held.get(name, 0.0) is None:
            self._give_up(name)

    def failed(self, endpoint: Endpoint, now: float, tool: str = "") -> None:
        """The trial has failed: the other processes must hear of it before one of them makes the next one."""
        name = endpoint.key, tool
        if name in self.held:
            self.held[name] = now + SETTLING

    def sweep(self, now: float) -> None:
        """Give up claims to failed trials when their time is over."""
        if self.held:
            for name in [name for name, until in self.held.items() if until is not None and now >= until]:
                self._give_up(name)

    def close(self) -> None:
        """Give up all claims: the pool ends."""
        for name in list(self.held):
            self._give_up(name)

    def _give_up(self, name: _Name) -> None:
        del self.held[name]
        if self._claims is not None:
            self._claims.give_up(*name)
