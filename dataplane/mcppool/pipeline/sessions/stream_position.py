"""Where a client is in its GET stream: after the last event that it got, whose id one of the session's homes gave."""

from __future__ import annotations

from mcppool.pipeline.request_id import OURS
from mcppool.pipeline.sessions.resumption import Resumptions
from mcppool.pipeline.sessions.session import Session
from mcppool.wire.message_ids import replace_id
from mcppool.wire.rpc_response import RpcResponse


class StreamPosition:
    """The position of one client. `line` is the `Last-Event-ID` line of its last event, empty if that has no id; `home`
    is the home that issued the id. `resumed` is the id of the request whose stream the client resumes, None if it
    resumes none that this gateway knows."""

    __slots__ = ("_session", "home", "line", "resumed")

    def __init__(self, session: Session, line: bytes) -> None:
        self._session = session
        self.line = line
        self.home = self._issuer()
        self.resumed: bytes | None = None

    async def begin(self, resumptions: Resumptions) -> None:
        """End the stream that the client resumes, if it comes back to one."""
        if self.line:
            self.resumed = await resumptions.begin(self._session, _id_of(self.line))

    def line_for(self, home: tuple[str, str]) -> bytes:
        """The line to send to `home`; empty if another one issued the id."""
        return self.line if self.home == home else b""

    def note(self, id: bytes, home: tuple[str, str]) -> None:
        """Note the id of an event that `home` has sent."""
        self.line = b"last-event-id: %b\r\n" % id if id else b""
        self.home = home
        if self._session.moved:
            self._session.streams.note_home(id, home)

    def lost_answer(self, home: tuple[str, str]) -> bytes | None:
        """The id of the request whose answer cannot come, because its server is gone and the session is at `home` now;
        None if there is none."""
        return self.resumed if self.line and self.home != home else None

    def with_clients_id(self, message: RpcResponse, data: bytes) -> bytes:
        """The answer on a stream that the client resumes; its request may have gone out under an id of ours."""
        if self.resumed is None or message.id is None or not message.id.startswith(OURS):
            return data
        return replace_id(data, self.resumed)

    def _issuer(self) -> tuple[str, str]:
        """The home that issued the event id of the client. An id that the gateway of a moved session does not know is
        from an earlier home."""
        claims, session = self._session.claims, self._session
        if not self.line or not session.moved:
            return session.home
        return session.streams.home_of(_id_of(self.line)) or (claims.endpoint, claims.upstream_session)


def _id_of(line: bytes) -> bytes:
    """The event id in a `Last-Event-ID` line."""
    return line.partition(b":")[2].strip()
