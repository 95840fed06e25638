"""What the front door reads from a head, once for all requests that have the same one (decision 0004)."""

from __future__ import annotations

from mcppool.gateway.http.head_cache import Head
from mcppool.wire.headers import PROTOCOL_VERSION, connection_options, is_single_valued, reaches_servers
from mcppool.wire.versions import LEGACY_VERSIONS

JSON_LINE = b"content-type: application/json\r\n"
"""Goes before the header lines of a message: a server reads the body as we did, whatever charset its sender names."""

EVENTS = b"text/event-stream"
_NO_NAMES: frozenset[str] = frozenset()


class HeadNotes:
    """A head as its requests need it. `headers` has lower-case names and the last value of each; `duplicates` are
    headers that may stand there once only and came more than once; `path` and `query` are those of the target, the path
    without a slash at its end, and empty where the target is that of another host. `accepts_events`: the client takes
    an event stream for an answer.

    `forward` are the header lines that go to a server, for a pool that lists `listed`, and `extra` those of them that
    it lists; see `forward_for`. `method`,
    `name` and `version` are what the body of a modern request said that was found to agree with this head.
    """

    __slots__ = (
        "_lines", "_verb", "accepts_events", "cors", "duplicates", "extra", "forward", "headers", "is_json", "listed",
        "method", "modern", "name", "path", "query", "version", "welcome",
    )  # fmt: skip

    def __init__(self, head: Head) -> None:
        self.method: str | None = None
        self.name: str | None = None
        self.version: str | None = None
        self.headers: dict[str, str] = {}
        self.duplicates: tuple[str, ...] = ()
        self._verb = head.method
        self._lines = [(name.decode("latin-1"), value) for name, value in head.lines]
        for name, value in self._lines:
            if name in self.headers and is_single_valued(name):
                self.duplicates = (*self.duplicates, name)
            self.headers[name] = value.decode("latin-1")
        self.accepts_events = any(name == "accept" and EVENTS in value.lower() for name, value in self._lines)
        version = self.headers.get(PROTOCOL_VERSION)
        self.modern = version is not None and version not in LEGACY_VERSIONS
        media_type = self.headers.get("content-type", "").partition(";")[0]
        self.is_json = media_type.strip().lower() == "application/json"
        self.welcome = False
        self.cors = b""  # header lines of its answers, once its origin was found to be allowed
        self.listed: frozenset[str] | None = None
        self.forward = self.extra = b""
        self.path, self.query = _split_target(head.target, self.headers.get("host", ""))

    def forward_for(self, listed: frozenset[str]) -> bytes:
        """The header lines for the servers of a pool whose `headers.forward` is `listed`, in lower case.

        What `Connection` names is left out where the pool lists it, and only there: no client can take away a header of
        the protocol.
        """
        options = _NO_NAMES
        for name, value in self._lines:
            if name == "connection":
                options |= connection_options(value.decode("latin-1"))
        allowed = listed - options
        extra: list[bytes] = []
        lines = [JSON_LINE] if self._verb == b"POST" else []
        for name, value in self._lines:
            if reaches_servers(name, modern=self.modern, listed=allowed):
                (extra if name in allowed else lines).append(b"%b: %b\r\n" % (name.encode("latin-1"), value))
        self.listed = listed
        self.extra = b"".join(extra)
        self.forward = b"".join(lines) + self.extra
        return self.forward


def _split_target(target: bytes, host: str) -> tuple[bytes, bytes]:
    """Path and query of a target in either of the forms that RFC 9112 §3.2 wants served; its host must be `Host`."""
    if not target.startswith(b"/"):
        scheme, _, rest = target.partition(b"://")
        authority, slash, path = rest.partition(b"/")
        if scheme.lower() not in (b"http", b"https") or authority.decode("latin-1").lower() != host.lower():
            return b"", b""
        target = slash + path
    path, _, query = target.partition(b"?")
    return path.removesuffix(b"/") or b"/", query


def notes_of(head: Head) -> HeadNotes:
    """The notes of a head, which are made once for all requests with the same one."""
    notes = head.notes
    if not isinstance(notes, HeadNotes):
        notes = head.notes = HeadNotes(head)
    return notes
