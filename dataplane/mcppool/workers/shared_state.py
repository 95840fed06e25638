"""State that the supervisor keeps once for all workers: rates, places of calls in flight, and the facts about sessions.

A worker asks, and goes on with the answer: so a limit holds exactly, however many processes there are. The places of a
worker that has ended are free at once. Everything is bounded in number, and sessions in bytes.
"""

from __future__ import annotations

import asyncio
from collections import Counter, OrderedDict
from collections.abc import Coroutine, Sequence
from time import monotonic
from typing import Any, Final

from mcppool.access.dpop_replays import UsedProofs
from mcppool.cache.shared_sessions import ENDED, NOTHING_KNOWN, Home, SharedSession, moved, noted
from mcppool.pipeline.admission.concurrency_limiter import ConcurrencyLimiter
from mcppool.policy.token_bucket import TokenBucket
from mcppool.upstream.failures import LimitReached

MAX_BUCKETS: Final = 100_000
"""Upper bound on token buckets; the least recently used are forgotten, as if they were full."""
MAX_SESSIONS: Final = 200_000
"""Upper bound on sessions with facts: those that have moved, were ended, or have settings."""
MAX_SESSION_BYTES: Final = 64 * 1024 * 1024
"""Upper bound on the bytes of these facts. The oldest are forgotten first."""

MAX_PROOFS: Final = 1 << 30
"""No bound of its own: each worker refuses proofs above its own bound before it asks."""

_OVERHEAD: Final = 300  # bytes of one session's facts besides its texts

Session = tuple[str, str]
"""A pool and the sealed id."""


class _Gate:
    """Places that all workers share."""

    def __init__(self, name: str) -> None:
        self.capacity = 0
        self.limiter = ConcurrencyLimiter(name, lambda: self.capacity, 0)
        self.held: Counter[int] = Counter()  # by worker

    @property
    def unused(self) -> bool:
        return not self.limiter.inside and not self.limiter.waiting


class Places:
    """The concurrency limits of all pools."""

    def __init__(self) -> None:
        self._gates: dict[tuple[str, str], _Gate] = {}

    def __len__(self) -> int:
        return len(self._gates)

    def enter(
        self, worker: int, pool: str, key: str, name: str, capacity: int, max_queue: int, force: bool, seconds: float
    ) -> str | Coroutine[Any, Any, str | None]:
        """Take a place for a call of `worker`; wait for one for at most `seconds`. Returns an empty text, or the reason
        why there is none."""
        gate = self._gates.get((pool, key))
        if gate is None:
            gate = self._gates[pool, key] = _Gate(name)
        gate.capacity, gate.limiter.max_queue = capacity, max_queue
        limiter = gate.limiter
        limiter.admit()
        if limiter.inside < capacity and not limiter.waiting:
            limiter.inside += 1
            gate.held[worker] += 1
            return ""
        return self._wait(worker, pool, key, gate, force, seconds)

    async def _wait(self, worker: int, pool: str, key: str, gate: _Gate, force: bool, seconds: float) -> str | None:
        try:
            await gate.limiter.enter(asyncio.get_running_loop().time() + seconds, force=force)
        except LimitReached as error:
            self._forget(pool, key, gate)
            return error.detail
        except asyncio.CancelledError:
            self._forget(pool, key, gate)
            raise
        gate.held[worker] += 1
        return ""

    def leave(self, worker: int, pool: str, key: str) -> None:
        """A call of `worker` gives its place back."""
        gate = self._gates.get((pool, key))
        if gate is not None and gate.held[worker] > 0:
            gate.held[worker] -= 1
            gate.limiter.leave()
            self._forget(pool, key, gate)

    def resize(self, pool: str, key: str, capacity: int) -> None:
        """The capacity may have changed."""
        gate = self._gates.get((pool, key))
        if gate is not None:
            gate.capacity = capacity
            gate.limiter.admit()

    def gone(self, worker: int) -> None:
        """A worker has ended, and its calls with it."""
        for (pool, key), gate in list(self._gates.items()):
            for _ in range(gate.held.pop(worker, 0)):
                gate.limiter.leave()
            self._forget(pool, key, gate)

    def _forget(self, pool: str, key: str, gate: _Gate) -> None:
        if gate.unused and self._gates.get((pool, key)) is gate:
            del self._gates[pool, key]


class SharedBuckets:
    """The token buckets of all pools."""

    def __init__(self) -> None:
        self._buckets: OrderedDict[tuple[str, str, str], TokenBucket] = OrderedDict()

    def take(self, pool: str, limits: Sequence[tuple[str, str, float, float]]) -> tuple[int, float]:
        """Take one token for each limit: its kind, name, rate and burst. Returns the number of the limit without a
        token and the seconds until it has one; -1 and 0 if all had one."""
        now = monotonic()
        taken: list[TokenBucket] = []
        for number, (kind, name, rate, burst) in enumerate(limits):
            bucket = self._bucket((pool, kind, name), burst, now)
            wait = bucket.take(rate, burst, now)
            if wait:
                for other in taken:
                    other.give_back()
                return number, wait
            taken.append(bucket)
        return -1, 0.0

    def _bucket(self, key: tuple[str, str, str], burst: float, now: float) -> TokenBucket:
        bucket = self._buckets.get(key)
        if bucket is None:
            bucket = self._buckets[key] = TokenBucket(burst, now)
            if len(self._buckets) > MAX_BUCKETS:
                self._buckets.popitem(last=False)
        else:
            self._buckets.move_to_end(key)
        return bucket


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
    """All of it, and the answers to the workers' questions."""

    def __init__(self) -> None:
        self.rates = SharedBuckets()
        self.places = Places()
        self.sessions = SessionFacts()
        self._proofs: dict[str, UsedProofs] = {}

    def answer(self, worker: int, question: str, arguments: list[Any]) -> Any:
        """The answer to a worker's question, or a coroutine that waits for it."""
        match question, arguments:
            case "take", [pool, limits]:
                return self.rates.take(pool, limits)
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
            case "leave", [pool, key]:
                self.places.leave(worker, pool, key)
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
