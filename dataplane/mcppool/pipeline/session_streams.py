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
MAX_BYTES = 32 * 1024  # of the ids of each kind, with what is kept under them
_ENTRY = 100  # bytes of an entry beside its id

Home = tuple[str, str]
"""An endpoint, and the session's id there."""

T = TypeVar("T")


class _Recent(Generic[T]):
    """The entries that were added last, by id."""

    __slots__ = ("_entries", "_owner", "_size")

    def __init__(self, owner: SessionStreams) -> None:
        self._owner = owner
        self._size = 0
        self._entries: OrderedDict[bytes, T] | None = None  # made for the first entry: most sessions have none

    def add(self, key: bytes, value: T) -> None:
        """Remember `value`, unless the key is too long to be kept."""
        if len(key) > MAX_KEY:
            return
        if self._entries is None:
            self._entries = OrderedDict()
        size = self._size
        if key not in self._entries:
            size += len(key) + _ENTRY
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > MAX_ENTRIES or size > MAX_BYTES:
            oldest, _ = self._entries.popitem(last=False)
            size -= len(oldest) + _ENTRY
        self._owner.bytes += size - self._size
        self._size = size

    def get(self, key: bytes) -> T | None:
        """What was remembered under `key`."""
        return self._entries.get(key) if self._entries is not None else None


class SessionStreams:
    """Of one session. `unanswered` maps event ids of streams on which the answer has not come yet to the request's id;
    `ids` maps event ids to their home, since the session has moved; `open` are the upstream connections of its GET
    streams. `bytes` is what the maps take."""

    __slots__ = ("bytes", "ids", "open", "unanswered")

    def __init__(self) -> None:
        self.bytes = 0
        self.unanswered: _Recent[bytes] = _Recent(self)
        self.ids: _Recent[Home] = _Recent(self)
        self.open: list[Connection] = []

    def leave(self) -> None:
        """The session lives elsewhere from now on: its GET streams are opened again there."""
        for connection in self.open:
            connection.close()
