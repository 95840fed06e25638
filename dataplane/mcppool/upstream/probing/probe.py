"""A conversation of the prober with an endpoint: the requests of a health check.

It runs on a connection of its own: it neither waits behind calls nor takes a place from one, and it shows whether the
endpoint still accepts connections. It sends harmless requests of the server's era and never a tool call (design §3.6).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import count
from random import getrandbits
from time import monotonic

import msgspec

from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.http.awaited_answer import AwaitedAnswer
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import NEVER, Response
from mcppool.upstream.probing.failures import ProbeFailed
from mcppool.upstream.probing.messages import MESSAGE, Message, read_message
from mcppool.version import __version__
from mcppool.wire.members import UNREADABLE
from mcppool.wire.versions import LATEST_MODERN

# Some servers key the events of all their streams by request id alone: the prober's ids must be unique.
_ids = f"mcppool-check-{getrandbits(32):08x}"
_numbers = count(1)
CLIENT = {"name": "mcppool", "version": __version__}
MODERN_META = {
    "io.modelcontextprotocol/protocolVersion": LATEST_MODERN,
    "io.modelcontextprotocol/clientInfo": CLIENT,
    "io.modelcontextprotocol/clientCapabilities": {},
}


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


def _session_headers(session: LegacySession) -> dict[str, str]:
    headers = {"mcp-protocol-version": session.version}
    if session.id is not None:
        headers["mcp-session-id"] = session.id
    return headers
