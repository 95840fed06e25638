"""Small writes of one turn of the event loop, made together at its end (decision 0025).

A write to a socket wakes the process at the other end, which costs the writer a third of the write. A process that gets
several messages in a row is woken once. While there is one write in a turn, it is not delayed.

This module imports nothing of ours, so that every layer may use it.
"""

from __future__ import annotations

import asyncio
from typing import Final, Protocol
from weakref import WeakKeyDictionary

ALONE: Final = 8
"""Turns in a row with one write, after which writes are made at once ..."""
AT_ONCE: Final = 64
"""... for this number of writes. Then one turn shows whether there are more."""


class Flushable(Protocol):
    """One side of a connection, with data that it has not given to its transport."""

    def flush(self) -> None:
        """Write the data now. Raises nothing."""


class FlushQueue:
    """The writers with data for the end of this turn of one event loop, and of the next one."""

    __slots__ = ("_alone", "_at_once", "_later", "_loop", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._waiting: list[Flushable] = []
        self._later: list[Flushable] = []
        self._alone = ALONE - 1  # turns in a row with one write
        self._at_once = AT_ONCE  # writes that are still to be made at once

    def add(self, writer: Flushable) -> None:
        """Flush `writer` at the end of the turn, or at once while there is one write in a turn."""
        if self._at_once:
            self._at_once -= 1
            writer.flush()
            return
        if not self._waiting and not self._later:
            self._loop.call_soon(self._flush)
        self._waiting.append(writer)

    def add_later(self, writer: Flushable) -> None:
        """The same one turn later: more data for the same connection is likely to come until then."""
        if self._at_once:
            self._at_once -= 1
            writer.flush()
            return
        if not self._waiting and not self._later:
            self._loop.call_soon(self._flush)
        self._later.append(writer)

    def _flush(self) -> None:
        waiting, self._waiting, self._later = self._waiting, self._later, []
        if self._waiting:
            self._loop.call_soon(self._flush)
        if len(waiting) > 1:
            self._alone = 0
        elif waiting:
            self._alone += 1
            if self._alone >= ALONE:
                self._alone = ALONE - 1
                self._at_once = AT_ONCE
        for writer in waiting:
            try:
                writer.flush()
            except Exception as error:  # a defect of one must not keep back the data of the others
                self._loop.call_exception_handler({"message": "a gathered write failed", "exception": error})


_QUEUES: Final[WeakKeyDictionary[asyncio.AbstractEventLoop, FlushQueue]] = WeakKeyDictionary()


def flush_queue_of(loop: asyncio.AbstractEventLoop) -> FlushQueue:
    """The queue of an event loop, which all connections share."""
    queue = _QUEUES.get(loop)
    if queue is None:
        queue = _QUEUES[loop] = FlushQueue(loop)
    return queue
