"""Who of the available endpoints takes calls: by priority, zone and weight (DESIGN §5)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol, TypeVar

LOCAL_ENOUGH_PERCENT = 50
"""Of an own zone's endpoints, so many must be available, or the rest of them would have to carry all of its calls."""


class Preferable(Protocol):
    """What the preference goes by."""

    @property
    def priority(self) -> int:
        """The lower, the sooner used."""

    @property
    def zone(self) -> str | None:
        """Where it runs."""

    @property
    def full_weight(self) -> float:
        """Its share as configured; with 0 it takes calls only while nobody else can."""


P = TypeVar("P", bound=Preferable)


class Resting(Protocol):
    """What may have asked to be left alone."""

    @property
    def not_before(self) -> float:
        """When it takes calls again, in the seconds of `now`; it may be long ago."""


R = TypeVar("R", bound=Resting)


def rested(available: Sequence[R], now: float) -> list[R]:
    """Those of `available` that have not asked for a rest (`Retry-After`) which lasts longer than `now`; where all
    have, the one whose rest ends first: a call waits for that one."""
    return [e for e in available if e.not_before <= now] or sorted(available, key=lambda e: e.not_before)[:1]


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
