"""The head of the requests to an endpoint."""

from __future__ import annotations

from urllib.parse import urlsplit

from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.upstream.http.sent_headers import SentHeaders
from mcppool.version import __version__
from mcppool.wire.query import merged_query

MAX_QUERIES = 64  # queries of clients that are kept with their rendered heads
MAX_REMEMBERED_QUERY = 1024  # bytes


class RequestHead:
    """The head of each request to an endpoint, after its verb: the target, and the header lines that all requests
    share, checks included."""

    __slots__ = ("_common", "_lines", "_path", "_query", "_with_query", "plain", "sent")

    def __init__(self, spec: EndpointSpec, pool: PoolSpec, authority: str) -> None:
        self.sent = SentHeaders(spec, pool)
        parts = urlsplit(spec.url)
        self._path = (parts.path or "/").encode("latin-1")
        self._query = parts.query.encode("latin-1")
        lines = f"host: {authority}\r\naccept-encoding: identity\r\n"
        if "user-agent" not in self.sent.names.union(name.lower() for name in pool.headers.forward):
            lines += f"user-agent: mcppool/{__version__}\r\n"
        self._common = lines.encode("latin-1")
        self._with_query: dict[bytes, bytes] = {}
        self._compose()

    def with_query(self, client: bytes) -> bytes:
        """The same with the query of the client's URL; a client repeats it, as it does the rest of its head."""
        head = self._with_query.get(client)
        if head is None:
            head = self._render(merged_query(self._query, client))
            if len(client) <= MAX_REMEMBERED_QUERY:
                if len(self._with_query) >= MAX_QUERIES:
                    self._with_query.clear()
                self._with_query[client] = head
        return head

    def renew(self) -> bool:
        """Read the values in files again; returns whether any has changed."""
        if not self.sent.may_change or not self.sent.renew():
            return False
        self._compose()
        return True

    def _compose(self) -> None:
        self._lines = self._common + self.sent.lines
        self._with_query.clear()
        self.plain = self._render(self._query)

    def _render(self, query: bytes) -> bytes:
        target = self._path + b"?" + query if query else self._path
        return b" %b HTTP/1.1\r\n%b" % (target, self._lines)
