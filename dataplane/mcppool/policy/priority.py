"""The candidates among the available endpoints: by priority, zone and weight (design §3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

LOCAL_ENOUGH_PERCENT = 50
"""Of an own zone's endpoints, so many must be available, or the rest of them would have to carry all of its calls."""


class Preferable(Protocol):
    """The properties of an endpoint that decide."""

    @property
    def priority(self) -> int:
        """The lower, the sooner used."""

    @property
    def zone(self) -> str | None:
        """Where it runs."""

    @property
    def full_weight(self) -> float:
        """Configured share; an endpoint with 0 takes calls only while no other can."""


P = TypeVar("P", bound=Preferable)


class Busy(Protocol):
    """An endpoint that may be silent because it works on a call."""

    @property
    def busy(self) -> bool:
        """Whether it is."""


B = TypeVar("B", bound=Busy)


def attentive(available: Sequence[B]) -> Sequence[B]:
    """The endpoints of `available` that are not busy; all of them if all are busy: a call then waits for its turn."""
    return [e for e in available if not e.busy] or available


def preferred(available: Sequence[P], everyone: Iterable[P], zone: str | None) -> tuple[P, ...]:
    """Those of `available` that are balanced over: of the lowest priority number that has any; where `zone` is given,
    those in it, as long as enough of them are available; without those of weight 0, if that leaves any.
    """
    if not available:
        return ()
    first = min(e.priority for e in available)
    chosen = [e for e in available if e.priority == first]
    if zone is not None:
        local = [e for e in chosen if e.zone == zone]
        there = sum(e.zone == zone and e.priority == first for e in everyone)
        if local and len(local) * 100 >= LOCAL_ENOUGH_PERCENT * there:
            chosen = local
    return tuple([e for e in chosen if e.full_weight > 0] or chosen)
