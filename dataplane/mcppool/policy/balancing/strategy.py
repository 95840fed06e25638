"""Interface of load-balancing strategies: a choice among candidates.

Candidates are the available endpoints in an immutable tuple, the same object until something changes: a strategy with
prepared data computes it once for each tuple and recognises the tuple by identity (`Prepared`). A pick costs O(1) or
O(log n).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Latency(Protocol):
    """An endpoint's response time."""

    def at(self, now: float) -> float:
        """The estimate in seconds, decayed since its last sample; 0 without a sample."""


class Candidate(Protocol):
    """The data of an endpoint for strategies."""

    @property
    def key(self) -> str:
        """Its stable name."""

    @property
    def active(self) -> int:
        """Requests in flight; listeners do not count."""

    @property
    def weight(self) -> float:
        """Its share, scaled by slow start."""

    @property
    def full_weight(self) -> float:
        """Its configured share."""

    @property
    def score(self) -> float:
        """Its health score, 0 to 1."""

    @property
    def latency(self) -> Latency:
        """Its response times."""


C = TypeVar("C", bound=Candidate)


class Strategy(Protocol):
    """One load-balancing strategy with its state between picks."""

    def pick(self, candidates: Sequence[C], now: float, key: bytes | None = None) -> C:
        """Choose one of `candidates`, which is not empty. `now` is loop time, `key` the result of `hash_key`."""
