"""The pool as a transport of the official SDK's `Client`, in place of its HTTP one.

A transport is an asynchronous context manager that gives a stream to read messages from and one to write them to.
Headers and body decide the era of a message, as at a gateway's listener.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
from mcp.client._transport import TransportStreams
from mcp.shared.message import ClientMessageMetadata, SessionMessage
from mcp_types import (
    CONNECTION_CLOSED,
    INTERNAL_ERROR,
    INVALID_REQUEST,
    ErrorData,
    JSONRPCError,
    JSONRPCMessage,
    JSONRPCNotification,
    JSONRPCRequest,
    RequestId,
    jsonrpc_message_adapter,
)
from pydantic import ValidationError

from mcppool.client.answer import Answer
from mcppool.client.caller import RECONNECT, Caller
from mcppool.client.errors import CallFailed
from mcppool.client.messages import legacy_lines
from mcppool.pipeline.sessions.session import Session
from mcppool.wire.era import Era, Refusal, classify
from mcppool.wire.headers import PARAM_PREFIX, PROTOCOL_VERSION, ROUTING_HEADERS
from mcppool.wire.media_types import MESSAGE_HEADERS
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.versions import ASSUMED_LEGACY, LEGACY_VERSIONS

MAX_FAILURES = 2  # failures in a row to open a session's stream (as in the SDK's own transport)


@asynccontextmanager
async def open_transport(caller: Caller) -> AsyncIterator[TransportStreams]:
    """Streams to and from the pool, for one `Client`."""
    to_client, incoming = anyio.create_memory_object_stream[SessionMessage | Exception](0)
    outgoing, from_client = anyio.create_memory_object_stream[SessionMessage](0)
    async with to_client, incoming, outgoing, from_client, anyio.create_task_group() as tasks:
        peer = _Peer(caller, to_client, tasks)
        tasks.start_soon(peer.run, from_client)
        try:
            yield incoming, outgoing
        finally:
            tasks.cancel_scope.cancel()
            with anyio.CancelScope(shield=True), anyio.move_on_after(caller.pool.spec.health_check.timeout):
                await peer.end()


class _Peer:
    """The pool's side of the transport."""

    def __init__(self, caller: Caller, to_client: Any, tasks: anyio.abc.TaskGroup) -> None:
        self._caller = caller
        self._to_client = to_client
        self._tasks = tasks
        self._version: str | None = None  # for messages without one: notifications, responses
        self._token = ""
        self._session: Session | None = None
        self._in_flight: dict[RequestId, anyio.CancelScope] = {}  # requests of the modern era; ending one cancels it

    async def run(self, from_client: Any) -> None:
        """Take the client's messages until it closes its side."""
        async for sent in from_client:
            await self._take(sent)

    async def end(self) -> None:
        """End the session, if there is one."""
        if self._session is not None:
            try:
                await self._caller.end(self._session, self._legacy_lines)
            except CallFailed:
                pass  # the pool was closed

    async def _take(self, sent: SessionMessage) -> None:
        message = sent.message
        if isinstance(message, JSONRPCNotification) and message.method == "notifications/cancelled":
            scope = self._in_flight.get((message.params or {}).get("requestId", ""))
            if scope is not None:
                scope.cancel()
                return
        given = sent.metadata.headers if isinstance(sent.metadata, ClientMessageMetadata) else None
        headers = {name.lower(): value for name, value in (given or {}).items()}
        if isinstance(message, JSONRPCRequest) and message.method == "initialize":
            self._version = None
        elif PROTOCOL_VERSION in headers:
            self._version = headers[PROTOCOL_VERSION]
        elif self._version is not None:
            headers[PROTOCOL_VERSION] = self._version
        if isinstance(message, JSONRPCRequest):
            scope = anyio.CancelScope()
            if self._version is not None and self._version not in LEGACY_VERSIONS:
                self._in_flight[message.id] = scope
            self._tasks.start_soon(self._request, message, headers, scope)
            return
        try:
            await self._send(message, headers, Answer())
        except (CallFailed, Refusal):
            pass  # its caller no longer waits
        opened = isinstance(message, JSONRPCNotification) and message.method == "notifications/initialized"
        if opened and self._session is not None:
            self._tasks.start_soon(self._listen, self._session)

    async def _request(self, message: JSONRPCRequest, headers: dict[str, str], scope: anyio.CancelScope) -> None:
        try:
            with scope:
                await self._to_client.send(SessionMessage(await self._answer(message, headers)))
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the client has left
        finally:
            if self._in_flight.get(message.id) is scope:
                del self._in_flight[message.id]

    async def _answer(self, message: JSONRPCRequest, headers: dict[str, str]) -> JSONRPCMessage:
        """The answer, which may be an error."""
        answer = Answer(self._forward)
        try:
            await self._send(message, headers, answer)
        except Refusal as refusal:
            return _error(message, refusal.code, refusal.message, refusal.data)
        except CallFailed as failure:
            data = {"reason": failure.reason, "delivered": failure.delivered, "attempts": failure.attempts}
            return _error(message, INTERNAL_ERROR, failure.args[0], data)
        if message.method == "initialize":
            self._token = answer.session_token
            self._session = self._caller.pool.sessions.open(self._token) if self._token else None
        if answer.body is None or answer.cut:
            if answer.status >= 400:
                return _error(message, INVALID_REQUEST, f"HTTP {answer.status} and no JSON-RPC answer")
            return _error(message, CONNECTION_CLOSED, "There was no answer")
        try:
            parsed = jsonrpc_message_adapter.validate_json(answer.body, by_name=False)
        except ValidationError as error:
            return _error(message, INTERNAL_ERROR, f"The answer is not JSON-RPC: {error}")
        if isinstance(parsed, JSONRPCError) and parsed.id is None:
            return JSONRPCError(jsonrpc="2.0", id=message.id, error=parsed.error)
        return parsed

    async def _send(self, message: JSONRPCMessage, headers: dict[str, str], answer: Answer) -> None:
        body = message.model_dump_json(by_alias=True, exclude_unset=True).encode()
        era = classify(headers, parse_request(body))
        passed = {n: v for n, v in headers.items() if n in ROUTING_HEADERS or n.startswith(PARAM_PREFIX)}
        lines = MESSAGE_HEADERS + "".join(f"{name}: {value}\r\n" for name, value in passed.items()).encode("latin-1")
        session = None
        if era is Era.LEGACY and not (isinstance(message, JSONRPCRequest) and message.method == "initialize"):
            session = self._session
        await self._caller.send(body, lines, era, answer, session=session)
        if session is not None and isinstance(message, JSONRPCRequest):
            await self._caller.come_back(session, self._version or ASSUMED_LEGACY, answer)

    async def _listen(self, session: Session) -> None:
        """The session's GET stream, opened again if the server ends it."""
        failures = 0
        last_id: str | None = None
        while failures < MAX_FAILURES:
            answer = Answer(self._forward)
            try:
                await self._caller.listen(session, self._version or ASSUMED_LEGACY, answer, last_id)
            except (CallFailed, anyio.BrokenResourceError, anyio.ClosedResourceError):
                return
            if answer.status in (404, 405):
                return  # the server has no such stream
            failures = 0 if answer.status == 200 else failures + 1
            last_id = answer.last_id or last_id
            await asyncio.sleep(RECONNECT if answer.retry is None else answer.retry)

    async def _forward(self, data: bytes) -> None:
        try:
            message = jsonrpc_message_adapter.validate_json(data, by_name=False)
        except ValidationError as error:
            await self._to_client.send(error)
        else:
            await self._to_client.send(SessionMessage(message))

    @property
    def _legacy_lines(self) -> bytes:
        return legacy_lines(self._version or ASSUMED_LEGACY)


def _error(message: JSONRPCRequest, code: int, text: str, data: object = None) -> JSONRPCError:
    return JSONRPCError(jsonrpc="2.0", id=message.id, error=ErrorData(code=code, message=text, data=data))
