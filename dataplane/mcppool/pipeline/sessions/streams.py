"""The parts of a session's streams that later requests of the client refer to.

Event ids, unanswered requests and questions are valid at one endpoint only: each is stored with the session's home at
that time. Everything here is bounded, and the oldest entry is forgotten first.
"""

from __future__ import annotations

from collections import OrderedDict
from itertools import count
from typing import Generic, TypeVar

from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.request_id import OF_PROCESS
from mcppool.upstream.http.connection import Connection

MAX_ENTRIES = 256  # of each kind
MAX_KEY = 1024  # upper bound in bytes on a stored id
MAX_BYTES = 32 * 1024  # upper bound on the ids of each kind, with their values
_ENTRY = 100  # bytes of an entry besides its id
MAX_ASKED = 1800.0  # seconds that one question stops the clocks of the session's calls

Home = tuple[str, str]
"""An endpoint, and the session's id there."""

T = TypeVar("T")
_numbers = count()


class _Recent(Generic[T]):
    """The most recent entries, by id."""

    __slots__ = ("_entries", "_size")

    def __init__(self) -> None:
        self._size = 0
        self._entries: OrderedDict[bytes, T] = OrderedDict()

    def add(self, key: bytes, value: T) -> int:
        """Remember `value`, unless the key is too long. Return the growth in bytes."""
        if len(key) > MAX_KEY:
            return 0
        size = self._size
        if key not in self._entries:
            size += len(key) + _ENTRY
        self._entries[key] = value
        self._entries.move_to_end(key)
        while len(self._entries) > MAX_ENTRIES or size > MAX_BYTES:
            oldest, _ = self._entries.popitem(last=False)
            size -= len(oldest) + _ENTRY
        more, self._size = size - self._size, size
        return more

    def get(self, key: bytes) -> T | None:
        """The entry under `key`."""
        return self._entries.get(key)

    def items(self) -> list[tuple[bytes, T]]:
        """All of them, the latest first."""
        return list(reversed(self._entries.items()))


class Question:
    """A request of a server to its client: the server, and the request's id (raw JSON) there."""

    __slots__ = ("home", "id")

    def __init__(self, home: Home, id: bytes) -> None:
        self.home = home
        self.id = id


class SessionStreams:
    """The streams of one session. An idle session has no lists and maps: there are many of them.

    `open` are the upstream connections of its GET streams. `bytes` is the size of the stored ids.
    """

    __slots__ = ("_asked", "_calls", "_ids", "_questions", "_since", "_stood", "_unanswered", "bytes", "open")

    def __init__(self) -> None:
        self.bytes = 0
        self.open: tuple[Connection, ...] = ()
        self._unanswered: _Recent[bytes] | None = None  # event ids of streams without an answer yet: the request's id
        self._ids: _Recent[Home] | None = None  # event ids, once the session has moved: their home
        self._calls: dict[bytes, Outcome] | None = None  # requests in flight, by id
        self._questions: _Recent[Question] | None = None
        self._asked: set[bytes] | None = None  # ids of those that wait for the client's answer
        self._since = 0.0  # when the first of these was asked
        self._stood = 0.0  # seconds that earlier questions have stopped the clocks

    @property
    def in_use(self) -> bool:
        """Whether a call is in flight, or a stream is open."""
        return self._calls is not None or bool(self.open)

    # --- calls in flight -----------------------------------------------------------------------------------------

    def begin(self, id: bytes, outcome: Outcome) -> None:
        """A request is in flight."""
        if self._calls is None:
            self._calls = {id: outcome}
        else:
            self._calls[id] = outcome

    def end(self, id: bytes, outcome: Outcome) -> None:
        """It is over."""
        calls = self._calls
        if calls is not None and calls.get(id) is outcome:
            if len(calls) == 1:
                self._calls = None
            else:
                del calls[id]

    def in_flight(self, id: bytes) -> Outcome | None:
        """The request in flight with this id."""
        return self._calls.get(id) if self._calls is not None else None

    # --- event ids -----------------------------------------------------------------------------------------------

    def note_home(self, id: bytes, home: Home) -> None:
        """An event id of a session that has moved: `home` has issued it."""
        if self._ids is None:
            self._ids = _Recent()
        self.bytes += self._ids.add(id, home)

    def home_of(self, id: bytes) -> Home | None:
        """The home that issued an event id, if that was noted."""
        return self._ids.get(id) if self._ids is not None else None

    def note_unanswered(self, id: bytes, request: bytes) -> None:
        """The client can resume the stream of a request without an answer yet from this event id on."""
        if self._unanswered is None:
            self._unanswered = _Recent()
        self.bytes += self._unanswered.add(id, request)

    def unanswered(self, id: bytes) -> bytes | None:
        """The id of the request whose stream had this event."""
        return self._unanswered.get(id) if self._unanswered is not None else None

    # --- moves ---------------------------------------------------------------------------------------------------

    def leave(self, now: float) -> None:
        """The session moves: its GET streams are opened again at the new home, and no server waits for the client's
        answers."""
        for connection in self.open:
            connection.close()
        self.withdraw(None, now)

    # --- questions of servers ------------------------------------------------------------------------------------

    def ask(self, id: bytes, home: Home, now: float, *, moved: bool) -> bytes:
        """A server asks the client something; returns the id for the client.

        After a move the gateway chooses it: the new home may use an id again that the old one has used, and the
        client's answer to that may still come.
        """
        shown = b'"mcppool-question-%b-%x"' % (OF_PROCESS, next(_numbers)) if moved else id
        if self._questions is None:
            self._questions = _Recent()
        self.bytes += self._questions.add(shown, Question(home, id))
        if self._asked is None:
            self._asked = set()
        if not self._asked:
            self._since = now
        if len(self._asked) < MAX_ENTRIES and len(shown) <= MAX_KEY:
            self._asked.add(shown)
        return shown

    def answered(self, shown: bytes, now: float) -> Question | None:
        """Take the question that the client answers; None if this gateway did not pass it on."""
        self.withdraw((shown,), now)
        return self._questions.get(shown) if self._questions is not None else None

    def withdraw(self, shown: tuple[bytes, ...] | list[bytes] | None, now: float) -> None:
        """These questions, or all, no longer wait for an answer."""
        if not self._asked:
            return
        if shown is None:
            self._asked.clear()
        else:
            self._asked.difference_update(shown)
        if not self._asked:
            self._stood += min(now - self._since, MAX_ASKED)

    def withdraw_from(self, home: Home, id: bytes, now: float) -> bytes | None:
        """The server at `home` withdraws its question `id`; returns the id that the client has seen."""
        for shown, question in self._questions.items() if self._questions is not None else ():
            if (question.home, question.id) == (home, id):
                self.withdraw((shown,), now)
                return shown
        return None

    def stood_still(self, now: float) -> float:
        """Seconds that the clocks of the session's calls have stood still, while the client had a question to
        answer."""
        return self._stood + (min(now - self._since, MAX_ASKED) if self._asked else 0.0)
