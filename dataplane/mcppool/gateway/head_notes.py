"""The facts that the router reads from a request head, once for all requests with the same head (decision 0004)."""

from __future__ import annotations

from collections.abc import Sequence

from mcppool.access.credential import Credential
from mcppool.access.inbound import InboundAuth
from mcppool.gateway.http.head_cache import Changes, Head
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
        "_form", "_lines", "_verb", "accepts_events", "agreed", "cors", "credential", "credential_read_by",
        "duplicates", "extra", "forward", "headers", "is_json", "listed", "modern", "path", "query", "welcome",
    )  # fmt: skip

    def __init__(self, head: Head) -> None:
        self._lines = head.lines
        self._form: LinesForm | None = None  # `forward` with gaps for the values that varied last
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

    def forward_with(self, changes: Changes) -> bytes:
        """`forward` of a head with these other values: of headers on which nothing else depends that is noted here."""
        places, values = changes
        form = self._form
        if form is None or form.places is not places or form.lines is not self.forward:
            form = self._form = LinesForm(self.forward, self._lines, places)
        return form.filled(values)

    def extra_with(self, changes: Changes) -> bytes:
        """`extra` of such a head."""
        places, values = changes
        return LinesForm(self.extra, self._lines, places).filled(values)

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


class LinesForm:
    """Header `lines` with gaps for the values of the headers at `places` of a head."""

    __slots__ = ("_order", "_text", "lines", "places")

    def __init__(self, lines: bytes, head: Sequence[tuple[bytes, bytes]], places: tuple[int, ...]) -> None:
        self.lines = lines
        self.places = places
        gaps: list[tuple[int, int, int]] = []  # begin, end, and number of a value
        for number, place in enumerate(places):
            name, value = head[place]
            begin = _line_in(lines, b"%b: %b\r\n" % (name, value))
            if begin >= 0:
                begin += len(name) + len(b": ")
                gaps.append((begin, begin + len(value), number))
        gaps.sort()
        self._order: tuple[int, ...] | None = tuple(number for _, _, number in gaps)
        parts: list[bytes] = []
        at = 0
        for begin, end, _ in gaps:
            parts.append(lines[at:begin].replace(b"%", b"%%"))
            at = end
        self._text = b"%b".join([*parts, lines[at:].replace(b"%", b"%%")])
        if self._order == tuple(range(len(places))):
            self._order = None  # each value has its gap, in order

    def filled(self, values: tuple[bytes, ...]) -> bytes:
        """The lines with these values."""
        if self._order is not None:
            values = tuple([values[number] for number in self._order])
        return self._text % values


def _line_in(lines: bytes, line: bytes) -> int:
    """The place of a line among header lines, -1 if it is not there."""
    at = lines.find(line)
    while at > 0 and lines[at - 1] != _LF:  # the end of a longer name
        at = lines.find(line, at + 1)
    return at


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
        notes = head.notes = HeadNotes(head)
    return notes
