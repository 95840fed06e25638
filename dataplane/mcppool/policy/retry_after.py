"""`Retry-After` of servers: the rest of an endpoint, for the calls that it refused.

A rest holds for the tool (or the method) and the principal that met it: a limit of one user or of one expensive tool
is no reason to keep everybody's calls away. It is a wish that is granted while somebody else can do the work: the last
endpoint that could take a call never rests, and what a repetition met, after a refusal elsewhere, gives no rest: a
client that is refused everywhere must not put everybody to rest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

MOST = 1000
"""Kinds of calls for which rests are remembered, the newest ones."""

E = TypeVar("E", bound=Hashable)
Kind = tuple[str, str]
"""A tool or method, and a principal."""


class RetryAfterTable(Generic[E]):
    """The rests of one pool's endpoints. False while there are none, so that calls need not ask."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until: OrderedDict[Kind, dict[E, float]] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether there are any."""
        return bool(self._until)

    def begin(self, kind: Kind, endpoint: E, until: float, now: float, others: Collection[E]) -> bool:
        """The endpoint asks for a rest; returns whether it gets one, that is, whether one of the `others` could take
        such calls."""
        resting = self._until.get(kind, {})
        if all(resting.get(other, now) > now for other in others if other != endpoint):
            return False
        resting[endpoint] = max(until, resting.get(endpoint, until))
        self._until[kind] = resting
        self._until.move_to_end(kind)
        if len(self._until) > MOST:
            self._until.popitem(last=False)
        return True

    def until(self, kind: Kind, endpoint: E, now: float) -> float:
        """When the endpoint takes such calls again; `now`, or earlier, where it does."""
        resting = self._until.get(kind)
        return now if resting is None else resting.get(endpoint, now)

    def longest(self, endpoint: E, now: float) -> tuple[Kind, float] | None:
        """The rest of an endpoint that lasts longest, and for how many seconds; None where it has none."""
        found = [
            (kind, resting[endpoint] - now) for kind, resting in self._until.items() if resting.get(endpoint, now) > now
        ]
        return max(found, key=lambda rest: rest[1], default=None)

    def forget(self, endpoint: E) -> None:
        """Forget the rests of an endpoint that is replaced."""
        for resting in self._until.values():
            resting.pop(endpoint, None)

    def sweep(self, now: float) -> None:
        """Forget rests that are over."""
        for kind, resting in list(self._until.items()):
            left = {endpoint: until for endpoint, until in resting.items() if until > now}
            if left:
                self._until[kind] = left
            else:
                del self._until[kind]
