"""A conversation of the prober with an endpoint: the requests of a health check.

It runs on a connection of its own: it neither waits behind calls nor takes a place from one, and it shows whether the
endpoint still accepts connections. It sends harmless requests of the server's era and never a tool call (design §3.6).
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from itertools import count
from random import getrandbits
from time import monotonic

import msgspec

from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import AttemptFailed
from mcppool.upstream.http.awaited_answer import AwaitedAnswer
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import NEVER, Response
from mcppool.upstream.probing.messages import ERROR, MESSAGE, Message, is_unknown_method, read_message, shown_error
from mcppool.version import __version__
from mcppool.wire.errors import (
    HEADER_MISMATCH,
    INTERNAL_ERROR,
    MISSING_CLIENT_CAPABILITY,
    UNSUPPORTED_VERSION,
)
from mcppool.wire.members import UNREADABLE
from mcppool.wire.versions import LATEST_LEGACY, LATEST_MODERN

MAX_VERSIONS = 5  # versions that a message lists of those a server offers
MAX_VERSION = 32  # characters of a protocol version
_VERSION = re.compile(rf"[0-9A-Za-z.-]{{1,{MAX_VERSION}}}")
_NOT_NOW = (408, 425, 429)
_NOTHING_THERE = (404, 405, 410)
# Some servers key the events of all their streams by request id alone: the prober's ids must be unique.
_ids = f"mcppool-check-{getrandbits(32):08x}"
_numbers = count(1)
_BAD_MOMENT = (INTERNAL_ERROR, HEADER_MISMATCH, MISSING_CLIENT_CAPABILITY)
_CLIENT = {"name": "mcppool", "version": __version__}
_NO_CAPABILITIES = msgspec.Raw(b"{}")
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": LATEST_MODERN,
    "io.modelcontextprotocol/clientInfo": _CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}


class ProbeFailed(Exception):
    """The endpoint does not answer as an MCP server should. `status` is the HTTP status, if that is the fault."""

    def __init__(self, what: str, status: int | None = None) -> None:
        super().__init__(what)
        self.status = status


class ChecksRefused(ProbeFailed):
    """The endpoint answers, and wants something that the prober's requests lack and clients may have."""


class HandshakeRefused(ProbeFailed):
    """The endpoint answers `initialize` with an error of the protocol: it speaks MCP, and opens no session now."""


class NotModern(ProbeFailed):
    """The endpoint answers `server/discover` as a server that does not know it, which is no passing fault."""


class _Discover(msgspec.Struct):
    supportedVersions: list[str]  # noqa: N815 (the wire's spelling)


class _Initialized(msgspec.Struct):
    protocolVersion: str  # noqa: N815 (the wire's spelling)


class _Versions(msgspec.Struct):
    supported: list[str] = []


_initialized = msgspec.json.Decoder(_Initialized)
_discover = msgspec.json.Decoder(_Discover)
_versions = msgspec.json.Decoder(_Versions)


@dataclass(slots=True)
class LegacySession:
    """The prober's own session on a legacy server: kept between checks, as the witness that the process lives on."""

    id: str | None
    version: str


class _NoPool:
    """The owner of a probe's connection, which is in no pool."""

    def connection_released(self, connection: Connection) -> None:
        """Do nothing; the probe goes on using it."""

    def connection_closed(self, connection: Connection) -> None:
        """Do nothing."""


class Probe:
    """Requests on one connection, and on a new one where the server closes it after an answer.

    A request on behalf of a client carries the client's `query` and the header lines `extra`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        connection: Connection,
        connect_timeout: float,
        *,
        query: bytes = b"",
        extra: bytes = b"",
        on_behalf: bytes = b"",
    ) -> None:
        self._query = query
        self._on_behalf = on_behalf
        self._extra = extra
        self._endpoint = endpoint
        self._connection = connection
        self._connect_timeout = connect_timeout

    @property
    def local(self) -> bool:
        """Whether the endpoint is a local program."""
        return self._endpoint.target.path is not None

    @property
    def mark(self) -> dict[str, str]:
        """The header that tells a local program's requests of the prober apart: they need no process of their own."""
        return {"mcppool-probe": "1"} if self.local else {}

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    async def send(self, verb: str, headers: Mapping[str, str], body: bytes = b"") -> Response:
        """One HTTP request; the answer may still be a stream. Raises AttemptFailed."""
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")
        begin = self._endpoint.head.begin(self._query, self._on_behalf)
        head = b"%b%b%b%bcontent-length: %d\r\n\r\n" % (verb.encode(), begin, self._extra, lines, len(body))
        if self._connection.closing:
            self._connection = await _connect(self._endpoint, self._connect_timeout)
        return await self._answer(head + body)

    async def get(self, path: str) -> Response:
        """GET the document at `path` of the same server; its body is still to be read. Raises AttemptFailed."""
        head = b"GET%baccept: application/json\r\n\r\n" % self._endpoint.head.of_document(path)
        return await self._answer(head)

    async def _answer(self, request: bytes) -> Response:
        answer = AwaitedAnswer(self._connection.loop)
        self._connection.request(answer, request, monotonic(), NEVER, NEVER, NEVER)
        return await answer.future

    async def call(
        self, method: str, params: dict[str, object], headers: Mapping[str, str]
    ) -> tuple[Response, Message]:
        """One JSON-RPC request and its answer. Raises AttemptFailed or ProbeFailed."""
        id = f"{_ids}-{next(_numbers):x}"
        body = msgspec.json.encode({"jsonrpc": "2.0", "id": id, "method": method, "params": params})
        base = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        response = await self.send("POST", {**base, **headers}, body)
        self._endpoint.metadata.learn(value for name, value in response.headers if name == b"www-authenticate")
        raw = await read_message(response, f'"{id}"'.encode())
        self._connection.release()
        try:
            return response, MESSAGE.decode(raw)
        except UNREADABLE as error:
            raise ProbeFailed(
                f"{method} was answered with HTTP {response.status} and no JSON-RPC message", response.status
            ) from error

    async def modern(self, method: str, **params: object) -> tuple[Response, Message]:
        """A request of 2026-07-28."""
        headers = {"mcp-protocol-version": LATEST_MODERN, "mcp-method": method, **self.mark}
        return await self.call(method, {**params, "_meta": MODERN_META}, headers)

    async def legacy(self, session: LegacySession, method: str, **params: object) -> tuple[Response, Message]:
        """A request on a session."""
        return await self.call(method, params, _session_headers(session))

    async def end(self, session: LegacySession) -> None:
        """End a session. Raises AttemptFailed."""
        if session.id is not None:
            await self.send("DELETE", _session_headers(session))

    async def notify(self, session: LegacySession, method: str) -> None:
        """A notification on a session."""
        body = msgspec.json.encode({"jsonrpc": "2.0", "method": method})
        base = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        await self.send("POST", {**base, **_session_headers(session)}, body)
        self._connection.release()


@asynccontextmanager
async def open_probe(
    endpoint: Endpoint, connect_timeout: float, *, query: bytes = b"", extra: bytes = b"", on_behalf: bytes = b""
) -> AsyncIterator[Probe]:
    """A probe on a new connection, closed at the end; `query` and `extra` are those of the client that it acts for.

    Raises ConnectFailed; the caller bounds the conversation.
    """
    connection = await _connect(endpoint, connect_timeout)
    probe = Probe(endpoint, connection, connect_timeout, query=query, extra=extra, on_behalf=on_behalf)
    try:
        yield probe
    finally:
        probe.close()


async def _connect(endpoint: Endpoint, timeout: float) -> Connection:
    return await endpoint.target.connect(asyncio.get_running_loop(), _NoPool(), timeout)


async def check_modern(probe: Probe) -> bytes:
    """The raw `server/discover` result.

    Raises NotModern if the endpoint clearly does not speak the modern era, ProbeFailed where the answer leaves that
    open.
    """
    try:
        response, message = await probe.modern("server/discover")
    except ProbeFailed as failure:
        if failure.status is not None and _refuses(failure.status):
            raise NotModern(str(failure), failure.status) from failure
        raise
    if isinstance(message.result, msgspec.UnsetType):
        what = f"server/discover was answered with HTTP {response.status} and an error"
        if _refuses(response.status, message.error):
            raise NotModern(what, response.status)
        raise ProbeFailed(what, response.status)
    try:
        versions = _discover.decode(message.result).supportedVersions
    except UNREADABLE as error:
        raise ProbeFailed(f"server/discover was answered with a broken result: {error}") from error
    if LATEST_MODERN not in versions:
        shown = ", ".join(version[:MAX_VERSION] for version in versions[:MAX_VERSIONS])
        raise NotModern(f"server/discover offers {shown or 'no version'}")
    return bytes(message.result)


def _refuses(status: int, error: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET) -> bool:
    """Whether an answer to `server/discover` without a result is a refusal.

    A passing fault of the server is none, nor is an error that only the modern era has: a modern server that is taken
    for a legacy one makes its clients legacy for their lives.
    """
    if status >= 500 or status in _NOT_NOW:
        return False
    if isinstance(error, msgspec.UnsetType):
        return status >= 400
    try:
        seen = ERROR.decode(error)
        if seen.code == UNSUPPORTED_VERSION:
            return LATEST_MODERN not in _versions.decode(seen.data).supported
    except UNREADABLE:
        return True
    return seen.code not in _BAD_MOMENT


async def open_legacy(
    probe: Probe,
    version: str = LATEST_LEGACY,
    capabilities: msgspec.Raw = _NO_CAPABILITIES,
    client: Mapping[str, str] | msgspec.Raw = _CLIENT,
) -> LegacySession:
    """A session with a complete handshake: the prober's own, or with the parameters of a client whose session moves.

    Raises HandshakeRefused if the endpoint refuses it, ProbeFailed if it does not speak the legacy era.
    """
    params: dict[str, object] = {"protocolVersion": version, "capabilities": capabilities, "clientInfo": client}
    response, message = await probe.call("initialize", params, probe.mark if client is _CLIENT else {})
    if isinstance(message.result, msgspec.UnsetType):
        what, error = f"initialize was answered with HTTP {response.status} and", shown_error(message.error)
        if error and response.status not in _NOTHING_THERE:
            raise HandshakeRefused(f"{what} {error}", response.status)
        raise ProbeFailed(f"{what} an error", response.status)
    raw_id = response.header(b"mcp-session-id")
    session = LegacySession(raw_id.decode("latin-1") if raw_id else None, version)
    try:
        session.version = _negotiated_version(message.result)
        await probe.notify(session, "notifications/initialized")
    except (AttemptFailed, ProbeFailed):
        with suppress(AttemptFailed):
            await probe.end(session)
        raise
    return session


def _negotiated_version(result: msgspec.Raw) -> str:
    """Return the protocol version that the server has chosen, which becomes a header of each request of the session.

    Raises ProbeFailed if it is no possible version.
    """
    try:
        version = _initialized.decode(result).protocolVersion
    except UNREADABLE as error:
        raise ProbeFailed(f"initialize was answered with a broken result: {error}") from error
    if not _VERSION.fullmatch(version):
        raise ProbeFailed(f"initialize was answered with protocolVersion {version[:MAX_VERSION]!r}")
    return version


async def check_legacy(probe: Probe, session: LegacySession, method: str = "ping") -> bool:
    """Whether the server still knows the session, judged by the answer to `method`; an error is an answer, too.

    Raises AttemptFailed if no answer came, ProbeFailed where the server was not able to answer (5xx, 429).
    """
    try:
        response, message = await probe.legacy(session, method)
    except ProbeFailed as failure:
        if failure.status is None or not _forgets(failure.status):
            raise
        return False
    if not isinstance(message.result, msgspec.UnsetType) or is_unknown_method(message.error):
        return True
    if response.status >= 500 or response.status in _NOT_NOW:
        raise ProbeFailed(f"{method} was answered with HTTP {response.status}", response.status)
    return not _forgets(response.status)


def wants_more(status: int | None) -> bool:
    """Whether a status says that the request lacks something, such as credentials, and not that the path serves no
    MCP."""
    return status is not None and 400 <= status < 500 and status not in _NOT_NOW and status not in _NOTHING_THERE


def _forgets(status: int) -> bool:
    """Whether a status says that the server does not know the session (404, or 400 from TypeScript servers)."""
    return 400 <= status < 500 and status not in _NOT_NOW


def _session_headers(session: LegacySession) -> dict[str, str]:
    headers = {"mcp-protocol-version": session.version}
    if session.id is not None:
        headers["mcp-session-id"] = session.id
    return headers
