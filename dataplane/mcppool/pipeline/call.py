"""Input and output of the pipeline: a call, and its caller's side."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Protocol

from mcppool.pipeline.sessions.session import Session
from mcppool.policy.consecutive_failures import ClientKey
from mcppool.policy.principal import ANONYMOUS, Principal
from mcppool.wire.era import Era
from mcppool.wire.rpc_request import RpcRequest


class Call:
    """One parsed message of a client, with everything that decides its path. Immutable.

    Hot paths pass its parts by position: arguments by name cost a class a microsecond.

    * `body`: the client's own bytes.
    * `forward`: the rendered header lines that go to a server with the body.
    * `lines`: all headers, names in lower case, as they came but for the values in `changes`: these are places in
      `lines`, and the values that came there. `values_of` reads both.
    * `verb`: the HTTP method. `DELETE` ends a session and `GET` opens its stream, both without a message.
    * `resume`: the `Last-Event-ID` line of a `GET`, or empty.
    * `session`: the client's session, if its id is valid.
    * `path`: the path of the client's URL.
    * `query`: the query of the client's URL, which goes on to the server.
    * `source`: the connection that the call came on, which distinguishes clients without principal and session; 0 if
      each call is a client of its own.
    * `address`: the client's network address, if the call came over a network.
    * `credential`: the client's token, for token exchange only; it is never sent on.
    * `on_behalf`: header lines that the gateway sends to servers for the client, set before the call is sent.
    * `timeout`: the caller's limit in seconds for the whole call; None if only the pool's own time-outs apply.
    """

    __slots__ = (
        "address", "body", "changes", "credential", "era", "forward", "lines", "on_behalf", "path", "principal",
        "query", "received", "request", "resume",
        "session", "source", "timeout", "verb",
    )  # fmt: skip

    def __init__(
        self,
        request: RpcRequest,
        body: bytes,
        forward: bytes,
        era: Era,
        received: float,
        principal: Principal = ANONYMOUS,
        session: Session | None = None,
        verb: bytes = b"POST",
        resume: bytes = b"",
        timeout: float | None = None,
        lines: Sequence[tuple[bytes, bytes]] = (),
        source: int = 0,
        query: bytes = b"",
        address: str = "",
        path: bytes = b"",
        credential: str = "",
        changes: tuple[tuple[int, ...], tuple[bytes, ...]] | None = None,
    ) -> None:
        self.request = request
        self.body = body
        self.forward = forward
        self.era = era
        self.received = received
        self.principal = principal
        self.session = session
        self.verb = verb
        self.resume = resume
        self.timeout = timeout
        self.lines = lines
        self.query = query
        self.source = source
        self.address = address
        self.path = path
        self.credential = credential
        self.changes = changes
        self.on_behalf = b""

    def values_of(self, name: bytes) -> list[bytes]:
        """The values of a header, by its name in lower case."""
        values = [value for header, value in self.lines if header == name]
        if self.changes is not None:
            for place, value in zip(*self.changes, strict=True):
                if self.lines[place][0] == name:
                    return [value]  # a header with another value than in `lines` is there once
        return values

    @property
    def client(self) -> ClientKey:
        """The client that the call's failures count against: its principal, else its session, else its connection."""
        principal = self.principal
        if not principal.anonymous:
            return ClientKey(principal.key, principal.key)
        key = self.session.token if self.session is not None else self.source or id(self)
        return ClientKey(key, self.origin)

    @property
    def origin(self) -> Hashable:
        """The client that limits count: its principal, or the address of a client without a credential. A call of the
        library without a credential is a client of its own."""
        principal = self.principal
        return self.address or id(self) if principal.anonymous else principal.key


class Reply(Protocol):
    """The caller's side. `headers` are rendered header lines, each ended by CRLF, without framing.

    Either `whole` or `whole_stream` is called once, or `begin`, any number of `write`s with `drain` between them, and
    `end` or `abort`. Before any of them, `aside` may be called any number of times.
    """

    def aside(self, chunk: bytes, headers: bytes) -> None:
        """Whole events without a message: comments, event ids, `retry`. They open the answer as an event stream and
        decide nothing: `whole`, `whole_stream`, or a `begin` of another attempt, may still follow."""

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        """The complete answer."""

    def whole_stream(self, headers: bytes, events: bytes) -> None:
        """The complete answer, of status 200, as whole events."""

    def begin(self, status: int, headers: bytes, part: bytes = b"") -> None:
        """The head of a streamed answer, and its first part if that is known."""

    def write(self, chunk: bytes) -> None:
        """A part of a streamed answer."""

    def within_event(self, inside: bool) -> None:
        """Whether a written event goes on with the next `write`: until then nothing may stand between its parts."""

    def resumable(self) -> None:
        """The caller has an event id, with which it can come back for the rest: a caller that disconnects from now on
        does not want the rest of this stream."""

    async def drain(self) -> None:
        """Wait until the caller has read enough of the written bytes."""

    def end(self) -> None:
        """The end of a streamed answer."""

    def abort(self) -> None:
        """A streamed answer cannot be completed: the caller must see that it is cut."""
