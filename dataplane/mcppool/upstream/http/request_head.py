"""The head of the requests to an endpoint."""

from __future__ import annotations

from urllib.parse import urlsplit

from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.upstream.failures import NoCredentials
from mcppool.upstream.http.credentials import Credentials
from mcppool.upstream.http.sent_headers import SentHeaders
from mcppool.version import __version__
from mcppool.wire.query import merged_query

MAX_QUERIES = 64  # queries of clients that are kept with their rendered heads
MAX_REMEMBERED_QUERY = 1024  # bytes


class RequestHead:
    """The head of each request to an endpoint, after its verb: the target, and the header lines that all requests
    share, checks included.

    `missing` is the reason why no request may be sent: the gateway has no credentials; `missing_for_clients` is the
    same for requests with lines on behalf of a client.
    """

    __slots__ = (
        "_client_lines", "_common", "_credentials", "_lines", "_path", "_plain", "_query", "_with_query", "missing",
        "missing_for_clients", "sent",
    )  # fmt: skip

    def __init__(
        self, spec: EndpointSpec, pool: PoolSpec, authority: str, credentials: Credentials | None = None
    ) -> None:
        self.sent = SentHeaders(spec, pool)
        self._credentials = credentials
        parts = urlsplit(spec.url)
        self._path = (parts.path or "/").encode("latin-1")
        self._query = parts.query.encode("latin-1")
        lines = f"host: {authority}\r\naccept-encoding: identity\r\n"
        if "user-agent" not in self.sent.names.union(name.lower() for name in pool.headers.forward):
            lines += f"user-agent: mcppool/{__version__}\r\n"
        self._common = lines.encode("latin-1")
        self._with_query: dict[bytes, bytes] = {}
        self.compose()

    def begin(self, client: bytes = b"", on_behalf: bytes = b"") -> bytes:
        """The head, with `client`, the query of the client's URL; a client repeats it, as it does the rest of its head.
        `on_behalf` are lines that the gateway sends for the client. Raises NoCredentials."""
        if on_behalf:
            if self.missing_for_clients is not None:
                raise NoCredentials(self.missing_for_clients)
            query = merged_query(self._query, client) if client else self._query
            return self._render(query, self._client_lines + on_behalf)
        if self.missing is not None:
            raise NoCredentials(self.missing)
        if not client:
            return self._plain
        head = self._with_query.get(client)
        if head is None:
            head = self._render(merged_query(self._query, client), self._lines)
            if len(client) <= MAX_REMEMBERED_QUERY:
                if len(self._with_query) >= MAX_QUERIES:
                    self._with_query.clear()
                self._with_query[client] = head
        return head

    def of_document(self, path: str) -> bytes:
        """The head of a request for the document at another path of the same server. Raises NoCredentials."""
        if self.missing is not None:
            raise NoCredentials(self.missing)
        return b" %b HTTP/1.1\r\n%b" % (path.encode("latin-1"), self._lines)

    def lacks(self, on_behalf: bytes) -> str | None:
        """The reason why a request with these lines on behalf of a client cannot be sent; None if it can."""
        return self.missing_for_clients if on_behalf else self.missing

    async def obtain(self) -> None:
        """Wait for credentials that are being fetched. Raises NoCredentials if there are none."""
        if self._credentials is not None:
            await self._credentials.obtain()
        if self.missing is not None:
            raise NoCredentials(self.missing)

    async def settle(self) -> None:
        """Wait until a fetch of credentials has ended, with or without success."""
        if self._credentials is not None:
            await self._credentials.settle()

    def refused(self, sent_at: float, on_behalf: bytes = b"") -> bool:
        """A server answered 401 to a request sent at `sent_at` (monotonic seconds): whether there are new credentials
        since, or will be, so that another attempt may help."""
        if self._credentials is not None:
            if on_behalf and self._credentials.exchanges:
                return False
            return self._credentials.refused(sent_at)
        return self.renew()  # the file with the token may have changed since the last look

    def renew(self) -> bool:
        """Read the values in files again; returns whether any has changed."""
        if not self.sent.may_change or not self.sent.renew():
            return False
        self.compose()
        return True

    def compose(self) -> None:
        """Take over changed credentials."""
        credentials = self._credentials
        self.missing = self.missing_for_clients = self.sent.missing
        self._lines = self._client_lines = self._common + self.sent.lines
        if credentials is not None:
            self.missing = self.missing or credentials.missing
            self.missing_for_clients = self.missing_for_clients or credentials.missing_for_clients
            self._lines += credentials.line
            self._client_lines += credentials.client_line
        self._with_query.clear()
        self._plain = self._render(self._query, self._lines)

    def _render(self, query: bytes, lines: bytes) -> bytes:
        target = self._path + b"?" + query if query else self._path
        return b" %b HTTP/1.1\r\n%b" % (target, lines)
