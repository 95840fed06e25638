"""The legacy sessions of one replica, and the process of each."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from time import monotonic

from mcppool.upstream.stdio.conversation import Conversation
from mcppool.upstream.stdio.quota import Quota

MAX_REMEMBERED = 10_000  # ended sessions
FIRST_USE = 10.0  # seconds at least that a client has for its first request after the handshake


@dataclass(slots=True)
class StdioSession:
    """One session.

    `conversation` is None for a session of a health check, which needs no process; `own`: its process serves it alone,
    and ends with it. Its GET stream has one reader. `used`: its client has come back after the handshake; before that
    no connection is known to be the client's.
    """

    conversation: Conversation | None
    own: bool = False
    client: str = ""
    last_used: float = field(default_factory=monotonic)
    streaming: bool = False
    used: bool = False

    def use(self) -> None:
        """Note that its client uses it now."""
        self.last_used, self.used = monotonic(), True

    @property
    def in_use(self) -> bool:
        """Whether a request is in flight, or its stream is open."""
        return self.streaming or (self.own and self.conversation is not None and self.conversation.in_use)

    @property
    def lost(self) -> bool:
        """Whether its process has ended."""
        return self.conversation is not None and self.conversation.process.ended.is_set()


class StdioSessionTable:
    """Sessions by id. `attended(id)` tells whether a session's client has a connection open."""

    def __init__(self, quota: Quota, attended: Callable[[str], bool]) -> None:
        self._quota = quota
        self._attended = attended
        self._sessions: dict[str, StdioSession] = {}
        self._over: dict[str, None] = {}

    def __len__(self) -> int:
        """Number of sessions."""
        return len(self._sessions)

    def open(self, conversation: Conversation | None, *, own: bool = False, client: str = "") -> str:
        """Open a session; returns its id."""
        id = secrets.token_urlsafe(24)
        self._sessions[id] = StdioSession(conversation, own, client)
        if own:
            self._quota.charge(client)
        return id

    def find(self, id: str) -> StdioSession | None:
        """The session with this id."""
        return self._sessions.get(id)

    def is_over(self, id: str) -> bool:
        """Whether this session was ended, by its client or because the client disappeared."""
        return id in self._over

    async def end(self, id: str, *, over: bool = True) -> None:
        """End a session, and its process. `over`: for good; otherwise it may go on elsewhere."""
        session = self._sessions.pop(id, None)
        if session is None:
            return
        if over:
            self._over[id] = None
            while len(self._over) > MAX_REMEMBERED:
                del self._over[next(iter(self._over))]
        if session.own and session.conversation is not None:
            self._quota.release(session.client)
            await session.conversation.process.stop()

    def drop_all(self) -> None:
        """All processes end: their sessions are lost."""
        for session in self._sessions.values():
            if session.own:
                self._quota.release(session.client)
        self._sessions.clear()

    async def sweep(self, now: float, idle: float, longest: float) -> None:
        """End the sessions of absent clients: no connection open, no request in flight, and none for `idle` seconds.
        `longest` applies to sessions that need no process of their own."""
        for id, session in list(self._sessions.items()):
            if session.lost:
                continue  # its client learns of it
            if session.in_use or (session.own and self._attended(id)):
                session.last_used = now
            elif now - session.last_used > (self._patience(session, idle) if session.own else longest):
                await self.end(id)

    @staticmethod
    def _patience(session: StdioSession, idle: float) -> float:
        return idle if session.used else max(idle, FIRST_USE)
