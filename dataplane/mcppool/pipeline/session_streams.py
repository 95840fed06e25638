"""What a session's streams have brought its client, as far as later requests of the client refer to it.

Event ids, unanswered requests and the like mean something at one endpoint only: each is kept with the home that the
session had then. Everything here is bounded, and the oldest entry is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from mcppool.upstream.connection import Connection

MAX_ENTRIES = 256  # of each kind
MAX_KEY = 1024  # bytes of an id that is remembered

Home = tuple[str, str]
"""An endpoint, and the session's id there."""

T = TypeVar("T")


class _Recent(Generic[T]):
    """The entries that were added last, by id."""

    __slots__ = ("_entries",)

    def __init__(self) -> None:
        self._entries: OrderedDict[bytes, T] | None = None  # made for the first entry: most sessions have none

    def add(self, key: bytes, value: T) -> None:
        """Remember `value`, unless the key is too long to be kept."""
        if len(key) > MAX_KEY:
            return
        if self._entries is None:
            self._entries = OrderedDict()
        self._entries[key] = value
        self._entries.move_to_end(key)
        if len(self._entries) > MAX_ENTRIES:
            self._entries.popitem(last=False)

    def get(self, key: bytes) -> T | None:
        """What was remembered under `key`."""
        return self._entries.get(key) if self._entries is not None else None


class SessionStreams:
    """Of one session. `unanswered` maps event ids of streams on which the answer has not come yet to the request's id;
    `ids` maps event ids to their home, since the session has moved; `open` are the upstream connections of its GET
    streams."""

    __slots__ = ("ids", "open", "unanswered")

    def __init__(self) -> None:
        self.unanswered: _Recent[bytes] = _Recent()
        self.ids: _Recent[Home] = _Recent()
        self.open: list[Connection] = []

    def leave(self) -> None:
        """The session lives elsewhere from now on: its GET streams are opened again there."""
        for connection in self.open:
            connection.close()
