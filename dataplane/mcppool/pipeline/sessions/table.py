"""The sessions that a pool remembers: bounded in number and bytes, and no client takes the room of another.

A forgotten session is opened again from its id; only the facts outside the id are lost: its new home after a move, its
log level and its subscriptions. The least recently used session goes first: of a client with more than its share, or of
all clients if there is none. A client is a verified principal, else an address.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from operator import attrgetter
from typing import Final

from mcppool.pipeline.sessions.session import Session
from mcppool.policy.memory_budget import MemoryAccount

SHARE: Final = 8
"""A client with more than one such part of the sessions, or of their bytes, makes room for others."""

_endpoint_of: Final = attrgetter("endpoint")  # in C: it visits all sessions, every few seconds

Key = tuple[str, str]
"""The sealed id and the principal."""


class _Client:
    """The sessions of one client."""

    __slots__ = ("bytes", "sessions")

    def __init__(self) -> None:
        self.sessions: OrderedDict[Key, Session] = OrderedDict()  # least recently used first
        self.bytes = 0


class SessionTable:
    """Sessions by id and principal, within limits and a budget of memory."""

    def __init__(
        self, account: MemoryAccount, max_sessions: int, max_bytes: int, max_of_one: int | None = None
    ) -> None:
        self._account = account
        self._sessions: OrderedDict[Key, Session] = OrderedDict()  # least recently used first
        self._clients: dict[str, _Client] = {}
        self._heavy: dict[str, None] = {}  # clients with more than their share: fewer than SHARE of each kind
        self.bytes = 0
        self.max_sessions = max_sessions
        self.max_bytes = max_bytes
        self.max_of_one = max_of_one

    def __len__(self) -> int:
        return len(self._sessions)

    def find(self, key: Key) -> Session | None:
        """The session; it becomes the most recently used one."""
        session = self._sessions.get(key)
        if session is not None:
            self._sessions.move_to_end(key)
            self._clients[session.owner].sessions.move_to_end(key)
        return session

    def add(self, session: Session) -> None:
        """Remember a session, unless the budget has no room even after others were forgotten."""
        key = session.key
        self.remove(key)
        size = session.footprint
        while len(self._sessions) >= self.max_sessions or self.bytes + size > self.max_bytes:
            if not self._forget_one():
                return
        while not self._account.reserve(size):
            if not self._forget_one():
                return
        session.size = size
        self._sessions[key] = session
        client = self._clients.get(session.owner)
        if client is None:
            client = self._clients[session.owner] = _Client()
        client.sessions[key] = session
        self._count(session.owner, client, size)
        while self.max_of_one is not None and len(client.sessions) > self.max_of_one:
            self.remove(next(iter(client.sessions)))

    def resize(self, session: Session) -> None:
        """The stored data of a session has changed."""
        if self._sessions.get(session.key) is not session:
            return
        more, session.size = session.footprint - session.size, session.footprint
        self._account.charge(more)
        self._count(session.owner, self._clients[session.owner], more)
        while self.bytes > self.max_bytes and self._forget_one():
            pass

    def remove(self, key: Key) -> None:
        """Forget a session."""
        session = self._sessions.pop(key, None)
        if session is None:
            return
        client = self._clients[session.owner]
        del client.sessions[key]
        self._account.release(session.size)
        self._count(session.owner, client, -session.size)
        if not client.sessions:
            del self._clients[session.owner]

    def known(self) -> list[Key]:
        """All keys, the least recently used first."""
        return list(self._sessions)

    def count_by_endpoint(self) -> Counter[str]:
        """Number of sessions at each endpoint."""
        return Counter(map(_endpoint_of, self._sessions.values()))

    def sweep(self, oldest: float, now: float) -> list[Session]:
        """Forget sessions that were last used at `oldest` or before, and are not in use at `now`. Returns them."""
        forgotten: list[Session] = []
        while self._sessions:
            key, session = next(iter(self._sessions.items()))
            if session.last_used > oldest:
                break
            if session.in_use:
                session.last_used = now
                self.find(key)
            else:
                self.remove(key)
                forgotten.append(session)
        return forgotten

    def give_way(self, wanted: int, oldest: float) -> int:
        """Forget idle sessions, last used at `oldest` or before, until `wanted` bytes are free. Returns the number of
        freed bytes."""
        before = self.bytes
        found = 0
        victims: list[Key] = []
        for key, session in self._sessions.items():
            if session.last_used > oldest or found >= wanted:
                break
            if not session.in_use:
                found += session.size
                victims.append(key)
        for key in victims:
            self.remove(key)
        return before - self.bytes

    def close(self) -> None:
        """Forget all."""
        for key in self.known():
            self.remove(key)

    def _forget_one(self) -> bool:
        if not self._sessions:
            return False
        heavy = next(iter(self._heavy), None)
        self.remove(next(iter(self._sessions if heavy is None else self._clients[heavy].sessions)))
        return True

    def _count(self, owner: str, client: _Client, more: int) -> None:
        self.bytes += more
        client.bytes += more
        if len(client.sessions) * SHARE > self.max_sessions or client.bytes * SHARE > self.max_bytes:
            self._heavy[owner] = None
        else:
            self._heavy.pop(owner, None)
