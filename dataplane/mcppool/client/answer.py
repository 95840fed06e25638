"""The caller's side of an in-process call: collects the answer, and hands over earlier messages."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from mcppool.client.errors import CallFailed, RpcError
from mcppool.client.messages import header_value
from mcppool.pipeline.outcome import Outcome
from mcppool.upstream.failures import BadAnswer
from mcppool.wire.errors import INTERNAL_ERROR, BadEnvelope, Delivered, Reason
from mcppool.wire.media_types import EVENT_STREAM
from mcppool.wire.message_ids import canonical_id
from mcppool.wire.rpc_response import parse_response
from mcppool.wire.sse import EventParser

MAX_ANSWER = 64 * 1024 * 1024  # upper bound in bytes on an answer that comes in parts

OnMessage = Callable[[bytes], Awaitable[None]]
"""Takes a message that is not the answer: a notification, or in the legacy era a server's own request."""


class Answered(Exception):
    """The answer has come on a stream that would go on."""


async def ignore(_message: bytes) -> None:
    """Drop the message: for calls that need only the answer."""


class Answer:
    """A `Reply` in memory.

    `body` is the JSON-RPC answer once it has come; `cut` tells that the answer broke off. `last_id` and `retry`
    (seconds) are a legacy server's instructions for resuming the stream.
    """

    def __init__(self, on_message: OnMessage = ignore) -> None:
        self.status = 0
        self.headers = b""
        self.body: bytes | None = None
        self.cut = False
        self.last_id: str | None = None
        self.retry: float | None = None
        self.resumed = False  # from now on read from a stream that does not end with the answer
        self._on_message = on_message
        self._inbox: deque[bytes] = deque()
        self._events: EventParser | None = None
        self._parts: list[bytes] = []
        self._size = 0

    @property
    def session_token(self) -> str:
        """The id of the session that a handshake opened; empty if the server keeps none."""
        return (header_value(self.headers, b"mcp-session-id") or b"").decode("ascii")

    def aside(self, chunk: bytes, headers: bytes) -> None:
        """Event ids and `retry`."""
        if self._events is None:
            self.begin(200, headers)
        self.write(chunk)

    def whole(self, status: int, headers: bytes, body: bytes) -> None:
        """The complete answer."""
        self.status, self.headers, self.body = status, headers, body or None

    def whole_stream(self, headers: bytes, events: bytes) -> None:
        """The complete answer as events."""
        self.begin(200, headers, events)

    def begin(self, status: int, headers: bytes, part: bytes = b"") -> None:
        """The head of an answer in parts or of a stream of events, and its first part."""
        self.status, self.headers = status, headers
        media_type = (header_value(headers, b"content-type") or b"").partition(b";")[0].strip().lower()
        self._events = EventParser() if media_type == EVENT_STREAM else None
        if part:
            self.write(part)

    def write(self, chunk: bytes) -> None:
        """Take a part. Raises AttemptFailed if the answer becomes too large."""
        if self._events is None:
            self._size += len(chunk)
            if self._size > MAX_ANSWER:
                raise BadAnswer(f"an answer of more than {MAX_ANSWER} bytes")
            self._parts.append(chunk)
            return
        for event in self._events.feed(chunk):
            self.last_id = event.id or self.last_id
            self.retry = event.retry / 1000 if event.retry is not None else self.retry
            if event.data:
                self._take(event.data)

    def within_event(self, inside: bool) -> None:
        """Nothing stands between the parts of an event here."""

    def resumable(self) -> None:
        """The program's own call ends with the program."""

    async def drain(self) -> None:
        """Hand over received messages; a slow receiver slows the server down. Raises Answered on a resumed stream."""
        while self._inbox:
            await self._on_message(self._inbox.popleft())
        if self.resumed and self.body is not None:
            raise Answered

    def end(self) -> None:
        """Note the end of the answer."""
        if self._parts:
            self.body = b"".join(self._parts)

    def abort(self) -> None:
        """The rest will not come."""
        self.cut = True

    def _take(self, data: bytes) -> None:
        try:
            message = parse_response(data)
        except BadEnvelope:
            return  # the relay has judged it already; on a GET stream it answers no request
        if message.kind == "response" and self.body is None:
            self.body = data
        elif message.kind != "response":
            self._inbox.append(data)


class _Error(msgspec.Struct):
    code: int
    message: str = ""
    data: Any = None


class _Message(msgspec.Struct):
    id: msgspec.Raw = msgspec.Raw(b"null")
    result: dict[str, Any] | None = None
    error: _Error | None = None


class _Fault(msgspec.Struct):
    """The `data` of an error of this pool, or of another mcppool gateway behind it."""

    reason: Reason
    delivered: Delivered
    attempts: int
    retryAfterMs: int | None = None  # noqa: N815 (the wire's spelling)


_decode = msgspec.json.Decoder(_Message).decode


def result_of(answer: Answer, wanted: bytes, outcome: Outcome) -> dict[str, Any]:
    """The result of the request with the raw id `wanted`. Raises CallFailed or RpcError."""
    if answer.body is None or answer.cut:
        if answer.status >= 400:
            raise _not_an_answer(outcome, f"HTTP {answer.status} and no JSON-RPC answer")
        raise CallFailed(
            Reason.CONNECTION_LOST, delivered="yes", attempts=outcome.attempts, cause=_cause(outcome),
            endpoint=_endpoint(outcome),
        )  # fmt: skip
    try:
        message = _decode(answer.body)
    except (ValueError, RecursionError) as error:
        raise _not_an_answer(outcome, f"HTTP {answer.status} and not JSON-RPC: {error}") from None
    if message.error is not None:
        raise _error_of(message.error, outcome)
    if message.result is None or canonical_id(bytes(message.id)) != wanted:
        raise _not_an_answer(outcome, "the answer to another request")
    return message.result


def _error_of(error: _Error, outcome: Outcome) -> Exception:
    if error.code == INTERNAL_ERROR and isinstance(error.data, dict):
        try:
            fault = msgspec.convert(error.data, _Fault)
        except msgspec.ValidationError:
            pass
        else:
            retry_after = fault.retryAfterMs / 1000 if fault.retryAfterMs is not None else None
            return CallFailed(
                fault.reason, delivered=fault.delivered, attempts=fault.attempts, retry_after=retry_after,
                message=error.message, cause=_cause(outcome), endpoint=_endpoint(outcome),
            )  # fmt: skip
    return RpcError(error.code, error.message, error.data)


def _not_an_answer(outcome: Outcome, why: str) -> CallFailed:
    return CallFailed(
        Reason.BAD_UPSTREAM_ANSWER, delivered="yes", attempts=outcome.attempts, message=why, endpoint=_endpoint(outcome)
    )


def _cause(outcome: Outcome) -> str:
    """The fault of the last attempt."""
    failure = outcome.failure or outcome.cut
    return failure.detail if failure is not None else ""


def _endpoint(outcome: Outcome) -> str | None:
    return outcome.endpoint.key if outcome.endpoint is not None else None
