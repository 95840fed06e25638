"""Habits of an endpoint's server, as seen at the ends of its connections."""

from __future__ import annotations

from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import NEVER

ASSUMED_KEEP_ALIVE = 4.0  # uvicorn and Node close an idle connection after 5 s (design §1.12); we close it before them
LONGEST_KEEP_ALIVE = 60.0  # seconds that a server is trusted to keep an idle connection, unless it announces more
WATCH_AGAIN = 600.0  # seconds after a server closed an idle connection until another may show how long it keeps it
MARGIN = 1.0  # seconds before a server's Keep-Alive time-out at which the connection is no longer used
SINGLE_USE = 3  # connections in a row that ended after their first answer, before connections are used only once
SINGLE_USE_FOR = 60.0  # seconds until one more such connection has to confirm it
AT_ONCE = 0.1  # seconds within which a connection ends that the server did not mean to keep
GIVEN_UP = 16  # tools of abandoned calls that are remembered until the server answers again
FRESH = 1.0  # an unsafe call takes a connection that was used within these seconds, or a new one (design §2.4)


class ServerHabits:
    """Habits of one server. `doubted` is when the process behind the connections was last suspected to be gone: an
    unsafe call is written only on connections that have carried an exchange since.

    `given_up` has the tools of calls that the gateway ended without an answer, until the server answers again.
    `uses_once`: the server closes each connection after its first answer.

    `keeps` is how long an idle connection may be used, in seconds, where the server does not announce it. One idle
    connection that may not be used any more stays open for some time: if the server keeps it, `keeps` doubles.
    """

    __slots__ = ("_longest", "_single", "_single_until", "_watch_from", "doubted", "given_up", "keeps", "uses_once")

    def __init__(self, max_idle: float) -> None:
        self.doubted = -NEVER
        self.given_up: tuple[str, ...] = ()
        self._single = 0  # connections in a row that the server ended after their first answer, without announcing it
        self._single_until = NEVER
        self.uses_once = False  # an attribute: each call reads it
        self.keeps = ASSUMED_KEEP_ALIVE
        self._watch_from = -NEVER
        self.configure(max_idle)

    def configure(self, max_idle: float) -> None:
        """Apply a changed `max_idle_time`."""
        self._longest = min(max_idle, LONGEST_KEEP_ALIVE)
        self.keeps = min(max(self.keeps, ASSUMED_KEEP_ALIVE), self._longest)

    def exchanged(self, connection: Connection) -> None:
        """A connection is released after an exchange."""
        if connection.answers > 1 and self._single:
            self._single = 0
            self.uses_once = False
        if self.given_up and connection.used:
            self.given_up = ()

    def ended(self, connection: Connection, now: float, *, leased: bool) -> None:
        """A connection is gone."""
        by_server, unused = connection.ended_by_server, now - connection.last_used
        # A live server keeps a connection for a while after an answer.
        if connection.cut or (by_server and unused < FRESH):
            self.doubted = now
        if by_server and not leased:
            self.keeps = min(self.keeps, max(ASSUMED_KEEP_ALIVE, unused - MARGIN))
            if unused >= ASSUMED_KEEP_ALIVE:
                self._watch_from = now + WATCH_AGAIN
        if by_server and connection.answers == 1 and unused < AT_ONCE:
            self._single += 1
            self._single_until = now + SINGLE_USE_FOR
            self.uses_once = self._single >= SINGLE_USE
        if connection.tool is not None and leased and not by_server:
            self.given_up = (*self.given_up, connection.tool)[-GIVEN_UP:]

    def watch(self, connection: Connection, now: float) -> float:
        """A connection has become too old to be used. Returns the time until which it stays open to show whether the
        server keeps it; `now` if it need not stay."""
        known = connection.keep_for is not None or self.keeps >= self._longest or now < self._watch_from
        if known or now >= connection.retire_at or connection.at_end_of_file():
            return now
        watched = 2 * self.keeps + MARGIN
        if now < connection.last_used + watched:
            return connection.last_used + watched
        self.keeps = min(2 * self.keeps, self._longest)
        return now

    def sweep(self, now: float) -> None:
        """After a while, one more connection has to confirm that the server uses each only once."""
        if self.uses_once and now >= self._single_until:
            self._single = SINGLE_USE - 1
            self.uses_once = False


def kept_for(announced: float, max_idle: float) -> float:
    """Upper bound on the seconds that an idle connection may be used, at most `max_idle`, if the server has announced
    how long it keeps one."""
    return min(max_idle, max(announced - MARGIN, 0.5))
