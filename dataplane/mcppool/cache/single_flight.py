"""Equal calls at the same time are made once: the others wait for the result of the first."""

from __future__ import annotations

import asyncio
from typing import Generic, TypeVar

T = TypeVar("T")


class Flight(Generic[T]):
    """One call in flight. `result` is its result for all waiters; None before, and if there is nothing to share."""

    __slots__ = ("key", "landed", "result", "waiting")

    def __init__(self, key: bytes) -> None:
        self.key = key
        self.landed = False
        self.result: T | None = None
        self.waiting: dict[asyncio.Future[None], None] = {}  # first come first


class SingleFlight(Generic[T]):
    """Flights by key. The leader makes the call, and at its end calls `land`, or `leave` if it gives up."""

    def __init__(self) -> None:
        self._flights: dict[bytes, Flight[T]] = {}

    def __len__(self) -> int:
        return len(self._flights)

    def busy(self, key: bytes) -> bool:
        """Whether a call for `key` is in flight, so that `join` has to wait."""
        return key in self._flights

    async def join(self, key: bytes) -> tuple[Flight[T], bool]:
        """The flight for `key`, and whether the caller leads it.

        The first caller leads at once. The others wait until the flight has landed; if its leader gives up, the longest
        waiter leads, and the rest go on waiting.
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
            if not future.cancelled() and not flight.landed:  # the lead was handed over at the moment of giving up
                self.leave(flight)
            raise
        del flight.waiting[future]
        return flight, not flight.landed

    def land(self, flight: Flight[T], result: T | None) -> None:
        """The leader's call has ended: all waiters get `result`, or None if each must make its own call.

        Only the first call of this counts.
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
        """The leader gives up. No effect after `land`."""
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
