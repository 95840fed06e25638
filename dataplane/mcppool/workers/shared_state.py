"""State that the supervisor keeps once for all workers: rates, places of calls in flight, and the facts about sessions.

A worker asks, and goes on with the answer. Everything is bounded in number, and sessions in bytes.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from time import monotonic
from typing import Any, Final

from mcppool.access.dpop_replays import UsedProofs
from mcppool.cache.shared_sessions import ENDED, NOTHING_KNOWN, Home, SharedSession, moved, noted
from mcppool.workers.places import CallBack, Places
from mcppool.workers.shared_buckets import SharedBuckets

MAX_SESSIONS: Final = 200_000
"""Upper bound on sessions with facts: those that have moved, were ended, or have settings."""
MAX_SESSION_BYTES: Final = 64 * 1024 * 1024
"""Upper bound on the bytes of these facts. The oldest are forgotten first."""

MAX_PROOFS: Final = 1 << 30
"""No bound of its own: each worker refuses proofs above its own bound before it asks."""

_OVERHEAD: Final = 300  # bytes of one session's facts besides its texts

Session = tuple[str, str]
"""A pool and the sealed id."""


class SessionFacts:
    """The facts about sessions that their ids do not hold, by pool and sealed id."""

    def __init__(self, most: int = MAX_SESSIONS, most_bytes: int = MAX_SESSION_BYTES) -> None:
        self._most = most
        self._most_bytes = most_bytes
        self._facts: OrderedDict[Session, tuple[SharedSession, float]] = OrderedDict()  # with the time of expiry
        self.bytes = 0

    def __len__(self) -> int:
        return len(self._facts)

    def find(self, session: Session) -> SharedSession:
        """The facts about a session."""
        known, expires = self._facts.get(session, (NOTHING_KNOWN, 0.0))
        if known is not NOTHING_KNOWN and monotonic() >= expires:
            self._remove(session)
            return NOTHING_KNOWN
        return known

    def move(
        self, session: Session, life: float, old: Home, new: Home, log_level: str | None, subscriptions: Sequence[str]
    ) -> SharedSession:
        """See `SessionStore.move`."""
        return self._set(session, moved(self.find(session), old, new, log_level, tuple(subscriptions)), life)

    def note(self, session: Session, life: float, log_level: str | None, add: str | None, drop: str | None) -> None:
        """See `SessionStore.note`."""
        self._set(session, noted(self.find(session), log_level, add, drop), life)

    def renew(self, session: Session, life: float) -> None:
        """See `SessionStore.renew`."""
        known = self.find(session)
        if known is not NOTHING_KNOWN:
            self._set(session, known, life)

    def end(self, session: Session, life: float) -> None:
        """See `SessionStore.end`."""
        self._set(session, ENDED, life)

    def _set(self, session: Session, facts: SharedSession, life: float) -> SharedSession:
        if facts is NOTHING_KNOWN:
            return facts
        _, before = self._facts.get(session, (facts, 0.0))
        self._remove(session)
        self._facts[session] = facts, max(before, monotonic() + life) if facts.ended else monotonic() + life
        self.bytes += _size(session, facts)
        while len(self._facts) > self._most or self.bytes > self._most_bytes:
            self._remove(next(iter(self._facts)))
        return facts

    def _remove(self, session: Session) -> None:
        former = self._facts.pop(session, None)
        if former is not None:
            self.bytes -= _size(session, former[0])


class SharedState:
    """All of it, and the answers to the questions of so many `workers`. `call_back` asks a worker for spare places."""

    def __init__(self, workers: int, call_back: CallBack) -> None:
        self.rates = SharedBuckets(workers)
        self.places = Places(workers, call_back)
        self.sessions = SessionFacts()
        self._proofs: dict[str, UsedProofs] = {}

    def answer(self, worker: int, question: str, arguments: list[Any]) -> Any:
        """The answer to a worker's question, or a coroutine that waits for it."""
        match question, arguments:
            case "take", [pool, limits]:
                return self.rates.take(pool, limits, monotonic())
            case "enter", [pool, key, name, capacity, max_queue, force, seconds]:
                return self.places.enter(worker, pool, key, name, capacity, max_queue, force, seconds)
            case "find", [pool, token]:
                return self.sessions.find((pool, token))
            case "move", [pool, token, life, old, new, level, uris]:
                return self.sessions.move((pool, token), life, _home(old), _home(new), level, uris)
            case "proof", [pool, digest, now, seconds]:
                return self._first_use(pool, digest, int(now) + seconds, now)
        raise ValueError(f"unknown question {question}")

    def _first_use(self, pool: str, digest: bytes, until: int, now: float) -> bool | None:
        used = self._proofs.get(pool)
        if used is None:
            used = self._proofs[pool] = UsedProofs(MAX_PROOFS)
        return used.first_use(digest, until, now, "")

    def hear(self, worker: int, news: str, arguments: list[Any]) -> None:
        """A worker tells something that needs no answer."""
        match news, arguments:
            case "leave", [pool, key, count]:
                self.places.leave(worker, pool, key, count)
            case "resize", [pool, key, capacity]:
                self.places.resize(pool, key, capacity)
            case "note", [pool, token, life, level, add, drop]:
                self.sessions.note((pool, token), life, level, add, drop)
            case "renew", [pool, token, life]:
                self.sessions.renew((pool, token), life)
            case "end", [pool, token, life]:
                self.sessions.end((pool, token), life)


def _home(parts: Sequence[Any]) -> Home:
    endpoint, session, since = parts
    return endpoint, session, since


def _size(session: Session, facts: SharedSession) -> int:
    return (
        _OVERHEAD
        + len(session[0])
        + len(session[1])
        + sum(map(len, facts.subscriptions))
        + (len(facts.home[0]) + len(facts.home[1]) if facts.home is not None else 0)
    )
