"""One upstream `subscriptions/listen` stream."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from time import monotonic
from typing import NamedTuple

import msgspec

from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.failures import BadAnswer, ConnectionLost, ServerFault, ServerRefused, TokenRefused
from mcppool.upstream.http.awaited_answer import AwaitedAnswer
from mcppool.upstream.http.connection import Connection
from mcppool.upstream.http.response import NEVER, Response
from mcppool.upstream.http.retry_after import asked_to_wait
from mcppool.upstream.probing.probe import MODERN_META
from mcppool.upstream.timeouts import within
from mcppool.wire.media_types import EVENT_STREAM, MESSAGE_HEADERS
from mcppool.wire.members import UNREADABLE, readable
from mcppool.wire.sse import EventParser, EventTooLarge
from mcppool.wire.versions import LATEST_MODERN, META_CLIENT_CAPABILITIES

ID = b'"mcppool-listen"'
MAX_EVENT = 4 * 1024 * 1024
"""Upper bound in bytes on one notification: it names a list or a resource, or has a task with its result."""
UNAUTHORIZED = 401
NOT_NOW = frozenset({408, 429})  # statuses that tell nothing about later requests
_HEADERS = MESSAGE_HEADERS + f"mcp-protocol-version: {LATEST_MODERN}\r\nmcp-method: subscriptions/listen\r\n".encode()
ACKNOWLEDGED = "notifications/subscriptions/acknowledged"
TASK_CHANGED = "notifications/tasks"
_OF_TASKS = {**MODERN_META, META_CLIENT_CAPABILITIES: {"extensions": {"io.modelcontextprotocol/tasks": {}}}}


class ListenRefused(Exception):
    """The endpoint does not serve `subscriptions/listen`; its message gives the server's answer."""

    def __init__(self, status: int, content_type: bytes, body: bytes) -> None:
        super().__init__(f"subscriptions/listen was answered with HTTP {status}")
        self.status = status
        self.content_type = content_type
        self.body = body


class _Wanted(msgspec.Struct):
    taskIds: object = None  # noqa: N815 (the wire's spelling)


class _Params(msgspec.Struct):
    uri: str | None = None
    taskId: object = None  # noqa: N815
    notifications: _Wanted | None = None


class _Message(msgspec.Struct):
    method: str | None = None
    params: _Params = msgspec.field(default_factory=_Params)


_message = msgspec.json.Decoder(_Message)


class ListenEvent(NamedTuple):
    """A notification: its method, the URI of the resource or the id of the task that it is about, and its bytes."""

    method: str
    uri: str | None
    task: str | None
    data: bytes


class SubscriptionStream:
    """An acknowledged stream. `task_ids` are the tasks that the server has agreed to report."""

    def __init__(self, connection: Connection, response: Response) -> None:
        self._connection = connection
        self._response = response
        self._parser = EventParser(MAX_EVENT)
        self._events: deque[ListenEvent] = deque()
        self.task_ids: frozenset[str] = frozenset()

    async def next_event(self) -> ListenEvent | None:
        """The next notification; None if the server ends the stream.

        Raises AttemptFailed if the stream breaks.
        """
        while not self._events:
            chunk = await self._response.next_chunk()
            if not chunk:
                raise ConnectionLost("the stream ended without a result", answered=True)
            try:
                events = self._parser.feed(chunk)
            except EventTooLarge as error:
                raise BadAnswer(str(error)) from error
            for event in events:
                if not event.data:
                    continue
                try:
                    message = _message.decode(readable(event.data))
                except UNREADABLE as error:
                    raise BadAnswer("an event that is not JSON-RPC") from error
                if message.method is None:
                    return None
                if message.method == ACKNOWLEDGED:
                    self.task_ids = _strings(message.params.notifications)
                task = message.params.taskId if message.method == TASK_CHANGED else None
                about = task if isinstance(task, str) else None
                self._events.append(ListenEvent(message.method, message.params.uri, about, event.data))
        return self._events.popleft()

    def close(self) -> None:
        """Close the stream, which cancels it."""
        self._connection.close()


def _strings(wanted: _Wanted | None) -> frozenset[str]:
    ids = wanted.taskIds if wanted is not None else None
    return frozenset(id for id in ids if isinstance(id, str)) if isinstance(ids, list) else frozenset()


async def open_listening(endpoint: Endpoint, wanted: Mapping[str, object], timeout: float) -> SubscriptionStream:
    """Listen at `endpoint` for `wanted` (`params.notifications`), and wait for its acknowledgement.

    Raises AttemptFailed, or ListenRefused if the endpoint does not serve this.
    """
    message = {"jsonrpc": "2.0", "id": msgspec.Raw(ID), "method": "subscriptions/listen"}
    meta = _OF_TASKS if "taskIds" in wanted else MODERN_META
    body = msgspec.json.encode({**message, "params": {"notifications": wanted, "_meta": meta}})
    data = b"POST%b%bcontent-length: %d\r\n\r\n%b" % (endpoint.head.begin(), _HEADERS, len(body), body)
    connection = await endpoint.connections.open_stream()
    try:
        now = monotonic()
        answer = AwaitedAnswer(connection.loop)
        connection.request(answer, data, now, now + timeout, NEVER, NEVER, early=True)
        response = await answer.future
        if response.content_type != EVENT_STREAM:
            if response.status == UNAUTHORIZED and endpoint.head.refused(now):
                raise TokenRefused("HTTP 401")
            if response.status in NOT_NOW:
                raise ServerRefused(response.status, asked_to_wait(response))
            if response.status >= 500:
                raise ServerFault(response.status, asked_to_wait(response))
            raise ListenRefused(response.status, response.content_type, response.body)
        listening = SubscriptionStream(connection, response)
        async with within(timeout):
            first = await listening.next_event()
        if first is None or first.method != ACKNOWLEDGED:
            raise BadAnswer("the stream did not begin with its acknowledgement")
        return listening
    except TimeoutError:
        connection.close()
        raise BadAnswer("the stream was not acknowledged in time") from None
    except BaseException:
        connection.close()
        raise
