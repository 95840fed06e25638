"""Of equal calls at the same time one is made, and the others wait for what it brings."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """One call under way. `result` is what it brought for all; None before, and where there is nothing to share."""

    __slots__ = ("key", "landed", "result", "waiting")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.landed = False
        self.result: T | None = None
        self.waiting: dict[asyncio.Future[None], None] = {}  # first come first


class SingleFlight(Generic[T]):
    """Flights by key. Who has the lead makes the call, and at its end calls `land`, or `leave` where it gives up."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def busy(self, key: bytes) -> bool:
        """Whether a call for `key` is under way, so that `join` has to wait."""
        return key in self._flights

    async def join(self, key: bytes) -> tuple[Flight[T], bool]:
        """The flight for `key`, and whether the caller has its lead.

        The first has it, at once. The others wait until it has landed; when its leader gives up, the one that has
        waited longest has the lead, and the rest go on waiting.
        """
        flight = self._flights.get(key)
        if flight is None:
            flight = self._flights[key] = Flight(key)
            return flight, True
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        flight.waiting[future] = None
        try:
            await future
        except asyncio.CancelledError:
            del flight.waiting[future]
            if not future.cancelled() and not flight.landed:  # the lead was handed over in the moment of giving up
                self.leave(flight)
            raise
        del flight.waiting[future]
        return flight, not flight.landed

    def land(self, flight: Flight[T], result: T | None) -> None:
        """The leader's call has ended: all that wait get `result`, or None where they must ask for themselves.

        Only the first time counts.
        """
        if flight.landed:
            return
        flight.landed = True
        flight.result = result
        self._end(flight)
        for future in flight.waiting:
            if not future.done():
                future.set_result(None)

    def leave(self, flight: Flight[T]) -> None:
        """The leader gives up. Nothing happens after `land`."""
        if flight.landed:
            return
        heir = next((future for future in flight.waiting if not future.done()), None)
        if heir is not None:
            heir.set_result(None)
        else:
            self._end(flight)

    def _end(self, flight: Flight[T]) -> None:
        if self._flights.get(flight.key) is flight:
            del self._flights[flight.key]
