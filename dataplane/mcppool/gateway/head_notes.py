"""The facts that the router reads from a request head, once for all requests with the same head (decision 0004)."""

from __future__ import annotations

from mcppool.access.credential import Credential
from mcppool.access.inbound import InboundAuth
from mcppool.gateway.http.head_cache import Head
from mcppool.wire.era import claims_modern
from mcppool.wire.headers import PROTOCOL_VERSION, connection_options, is_single_valued, reaches_servers
from mcppool.wire.media_types import EVENT_STREAM, JSON, JSON_HEADERS

_JSON = JSON.decode()
_LF = 0x0A
_NO_NAMES: frozenset[str] = frozenset()


class HeadNotes:
    """A head as its requests need it.

    `headers` has lower-case names and the last value of each. `duplicates` are headers that came more than once and may
    come once only. `path` and `query` are those of the target: the path has no slash at its end, and is empty if the
    target names another host. `accepts_events`: the client takes an event stream for an answer. `modern`: its messages
    are held to the rules of the modern era.

    `forward` are the header lines that go to a server of a pool that lists `listed`, and `extra` those that the pool
    lists; see `forward_for`. `credential` is the one that `credential_read_by`, a pool's authentication, has read, or
    None if there is none that it could read. `agreed` are the inputs of `classify` for the last modern request with
    this head.
    """

    __slots__ = (
        "_lines", "_spot", "_verb", "accepts_events", "agreed", "cors", "credential", "credential_read_by",
        "duplicates", "extra", "forward", "headers", "is_json", "listed", "modern", "path", "query", "welcome",
    )  # fmt: skip

    def __init__(self, head: Head, known: HeadNotes | None = None) -> None:
        self._lines = head.lines
        self._spot: _Spot | None = None  # of the value that varied last
        if known is not None:
            self._copy(known)
            return
        self.agreed: tuple[object, ...] | None = None
        self.headers: dict[str, str] = {}
        self.duplicates: tuple[str, ...] = ()
        self._verb = head.method
        for name, value in self._decoded():
            if name in self.headers and is_single_valued(name):
                self.duplicates = (*self.duplicates, name)
            self.headers[name] = value.decode("latin-1")
        self.accepts_events = any(name == "accept" and EVENT_STREAM in value.lower() for name, value in self._decoded())
        self.modern = claims_modern(self.headers.get(PROTOCOL_VERSION))
        media_type = self.headers.get("content-type", "").partition(";")[0]
        self.is_json = media_type.strip().lower() == _JSON
        self.welcome = False
        self.credential: Credential | None = None
        self.credential_read_by: InboundAuth | None = None
        self.cors = b""  # header lines of its answers, once its origin is allowed
        self.listed: frozenset[str] | None = None
        self.forward = self.extra = b""
        self.path, self.query = _split_target(head.target, self.headers.get("host", ""))

    def varied(self, head: Head) -> HeadNotes:
        """The notes of a head that differs from this one by `head.changes` only: nothing that they decide depends on
        these headers."""
        notes = HeadNotes(head, self)
        if len(head.changes) == 1 and not self.extra:
            ((at, value),) = head.changes
            spot = self._spot
            if spot is None or spot.at != at or spot.forward is not self.forward:
                spot = self._spot = _Spot(at, self.forward, *self._lines[at])
            notes.headers[spot.name] = value.decode("latin-1")
            notes.forward = self.forward if spot.after is None else spot.before + value + spot.after
            return notes
        for at, value in head.changes:
            name, old = self._lines[at]
            notes.headers[name.decode("latin-1")] = value.decode("latin-1")
            line, new = b"%b: %b\r\n" % (name, old), b"%b: %b\r\n" % (name, value)
            notes.forward = _with_line(notes.forward, line, new)
            if notes.extra:
                notes.extra = _with_line(notes.extra, line, new)
        return notes

    def _copy(self, known: HeadNotes) -> None:
        self.agreed, self.duplicates, self._verb = known.agreed, known.duplicates, known._verb
        self.accepts_events, self.modern, self.is_json = known.accepts_events, known.modern, known.is_json
        self.welcome, self.cors, self.path, self.query = known.welcome, known.cors, known.path, known.query
        self.credential, self.credential_read_by = known.credential, known.credential_read_by
        self.listed, self.forward, self.extra = known.listed, known.forward, known.extra
        self.headers = known.headers.copy()

    def _decoded(self) -> list[tuple[str, bytes]]:
        return [(name.decode("latin-1"), value) for name, value in self._lines]

    def forward_for(self, listed: frozenset[str]) -> bytes:
        """The header lines for the servers of a pool whose `headers.forward` is `listed`, in lower case.

        A header that `Connection` names is left out if the pool lists it. No client can take away a header of the
        protocol.
        """
        options = _NO_NAMES
        read = self._decoded()
        for name, value in read:
            if name == "connection":
                options |= connection_options(value.decode("latin-1"))
        allowed = listed - options
        extra: list[bytes] = []
        # A server reads the body as the gateway did, whatever charset its sender names.
        lines = [JSON_HEADERS] if self._verb == b"POST" else []
        for name, value in read:
            if reaches_servers(name, modern=self.modern, listed=allowed):
                (extra if name in allowed else lines).append(b"%b: %b\r\n" % (name.encode("latin-1"), value))
        self.listed = listed
        self.extra = b"".join(extra)
        self.forward = b"".join(lines) + self.extra
        return self.forward


class _Spot:
    """The place of the header line number `at` in the lines `forward`: the bytes before its value, and those behind it,
    None if the line is not among them."""

    __slots__ = ("after", "at", "before", "forward", "name")

    def __init__(self, at: int, forward: bytes, name: bytes, value: bytes) -> None:
        self.at = at
        self.forward = forward
        self.name = name.decode("latin-1")
        line = b"%b: %b\r\n" % (name, value)
        begin = _line_in(forward, line)
        self.before = b"%b%b: " % (forward[:begin], name) if begin >= 0 else b""
        self.after = b"\r\n" + forward[begin + len(line) :] if begin >= 0 else None


def _line_in(lines: bytes, line: bytes) -> int:
    """The place of a line among header lines, -1 if it is not there."""
    at = lines.find(line)
    while at > 0 and lines[at - 1] != _LF:  # the end of a longer name
        at = lines.find(line, at + 1)
    return at


def _with_line(lines: bytes, line: bytes, new: bytes) -> bytes:
    """Header lines with another one in the place of `line`, if it is among them."""
    at = _line_in(lines, line)
    return lines if at < 0 else b"%b%b%b" % (lines[:at], new, lines[at + len(line) :])


def _split_target(target: bytes, host: str) -> tuple[bytes, bytes]:
    """Path and query of a target in either form of RFC 9112 §3.2; its host must be `Host`."""
    if not target.startswith(b"/"):
        scheme, _, rest = target.partition(b"://")
        authority, slash, path = rest.partition(b"/")
        if scheme.lower() not in (b"http", b"https") or authority.decode("latin-1").lower() != host.lower():
            return b"", b""
        target = slash + path
    path, _, query = target.partition(b"?")
    return path.removesuffix(b"/") or b"/", query


def notes_of(head: Head) -> HeadNotes:
    """The notes of a head, made once for all requests with the same head."""
    notes = head.notes
    if not isinstance(notes, HeadNotes):
        known = head.like.notes if head.like is not None else None
        notes = head.notes = known.varied(head) if isinstance(known, HeadNotes) else HeadNotes(head)
    return notes
