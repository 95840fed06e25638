"""Interface of load-balancing strategies: a choice among candidates.

Candidates come as an immutable tuple of those that are available, the same object until something changes: a strategy
that prepares anything does so once for each tuple and recognises it by identity (`Prepared`). A pick costs O(1) or
O(log n).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeVar


class Latency(Protocol):
    """How long an endpoint takes to answer."""

    def at(self, now: float) -> float:
        """The estimate in seconds, decayed since its last sample; 0 where there is none."""


class Candidate(Protocol):
    """The data of an endpoint for strategies."""

    @property
    def key(self) -> str:
        """Its lasting name."""

    @property
    def active(self) -> int:
        """Requests in flight; listeners do not count."""

    @property
    def weight(self) -> float:
        """Its share, already scaled by slow start."""

    @property
    def full_weight(self) -> float:
        """Its share as configured."""

    @property
    def score(self) -> float:
        """Its health score, 0 to 1."""

    @property
    def latency(self) -> Latency:
        """Its response times."""


C = TypeVar("C", bound=Candidate)


class Strategy(Protocol):
    """One load-balancing strategy with the state that it keeps between picks."""

    def pick(self, candidates: Sequence[C], now: float, key: bytes | None = None) -> C:
        """Choose one of `candidates`, which is not empty. `now` is loop time, `key` what `hash_key` says."""
