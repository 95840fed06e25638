"""`Retry-After` of servers: an endpoint's rest from the kind of calls that it refused.

A rest holds for the tool (or the method) and the principal of the refused call: a limit on one user or on one expensive
tool is no reason to keep other calls away. It is granted only while another endpoint can do the work: the last endpoint
that could take a call never rests. A repetition after a refusal elsewhere causes no rest either: a client that is
refused everywhere must not put all endpoints to rest.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Collection, Hashable
from typing import Generic, TypeVar

MAX_ENTRIES = 1000
"""Upper bound on the kinds of calls with stored rests; the newest are kept."""

E = TypeVar("E", bound=Hashable)
Kind = tuple[str, str]
"""A tool or method, and a principal."""


class RetryAfterTable(Generic[E]):
    """The rests of one pool's endpoints. `used` is False while there are none, so that calls need not ask."""

    __slots__ = ("_until", "used")

    def __init__(self) -> None:
        self._until: OrderedDict[Kind, dict[E, float]] = OrderedDict()
        self.used = False

    def begin(self, kind: Kind, endpoint: E, until: float, now: float, others: Collection[E]) -> bool:
        """The endpoint asks for a rest; returns whether it gets one, that is, whether one of the `others` could take
        such calls."""
        resting = self._until.get(kind, {})
        if all(resting.get(other, now) > now for other in others if other != endpoint):
            return False
        self.used = True
        resting[endpoint] = max(until, resting.get(endpoint, until))
        self._until[kind] = resting
        self._until.move_to_end(kind)
        if len(self._until) > MAX_ENTRIES:
            self._until.popitem(last=False)
        return True

    def until(self, kind: Kind, endpoint: E, now: float) -> float:
        """The time at which the endpoint takes such calls again; `now`, or earlier, if it does."""
        resting = self._until.get(kind)
        return now if resting is None else resting.get(endpoint, now)

    def longest(self, endpoint: E, now: float) -> tuple[Kind, float] | None:
        """The longest rest of an endpoint, with its remaining seconds; None if it has none."""
        found = [
            (kind, resting[endpoint] - now) for kind, resting in self._until.items() if resting.get(endpoint, now) > now
        ]
        return max(found, key=lambda rest: rest[1], default=None)

    def forget(self, endpoint: E) -> None:
        """Forget the rests of a replaced endpoint."""
        for resting in self._until.values():
            resting.pop(endpoint, None)

    def sweep(self, now: float) -> None:
        """Forget expired rests."""
        for kind, resting in list(self._until.items()):
            left = {endpoint: until for endpoint, until in resting.items() if until > now}
            if left:
                self._until[kind] = left
            else:
                del self._until[kind]
        self.used = bool(self._until)
