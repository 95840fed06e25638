"""The candidates among the available endpoints: by priority, zone and weight (design §3.1)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

LOCAL_ENOUGH_PERCENT = 50
"""Percentage of the zone's endpoints that must be available, or the rest of them would have to carry all of its
calls."""


class Preferable(Protocol):
    """The properties of an endpoint that decide."""

    @property
    def priority(self) -> int:
        """The lower, the sooner used."""

    @property
    def zone(self) -> str | None:
        """The zone where it runs."""

    @property
    def full_weight(self) -> float:
        """Configured share; an endpoint with 0 takes calls only while no other can."""


P = TypeVar("P", bound=Preferable)


class Busy(Protocol):
    """An endpoint that may be silent because it works on a call."""

    @property
    def busy(self) -> bool:
        """Whether it is busy."""


B = TypeVar("B", bound=Busy)


def attentive(available: Sequence[B]) -> Sequence[B]:
    """The endpoints of `available` that are not busy; all of them if all are busy: then a call waits for its turn."""
    return [e for e in available if not e.busy] or available


def preferred(available: Sequence[P], everyone: Iterable[P], zone: str | None) -> tuple[P, ...]:
    """The endpoints of `available` to balance over: those with the lowest priority number; of these the ones in `zone`,
    if it is given and enough of them are available; without weight 0, if that leaves any."""
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
