"""`round_robin`: one after the other."""

from __future__ import annotations

from collections.abc import Sequence

from mcppool.policy.balancing.strategy import C


class RoundRobin:
    """Each candidate in turn; weights do not count."""

    def __init__(self) -> None:
        self._next = 0

    def pick(self, candidates: Sequence[C], now: float, key: bytes | None = None) -> C:  # noqa: ARG002 (the protocol's)
        """The candidate after the last one."""
        index = self._next % len(candidates)
        self._next = index + 1
        return candidates[index]
