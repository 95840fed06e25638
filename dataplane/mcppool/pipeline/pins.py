"""What one endpoint issued and only that endpoint understands: `requestState`, cursors, task ids (DESIGN §3).

A `requestState` and a cursor are opaque to clients, who give them back unchanged. So the name of the endpoint is put
in front of the value on its way out and taken off on its way in: any gateway can then route it, without a store. A
task id also stands in places that we do not rewrite; which endpoint issued it is remembered, up to `MAX_TASKS`.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from typing import TYPE_CHECKING

import msgspec

from mcppool.wire.envelope import Request
from mcppool.wire.envelope import Response as Message
from mcppool.wire.members import replace_at

if TYPE_CHECKING:
    from mcppool.upstream.endpoint import Endpoint

PREFIX = "mcppool:"
MAX_TASKS = 10_000
_NAME = 8  # hex digits of an endpoint's name: enough to tell the endpoints of one pool apart


def pin_name(key: str) -> str:
    """The name under which values of the endpoint `key` are pinned."""
    return hashlib.sha256(key.encode()).hexdigest()[:_NAME]


class Pins:
    """The pins of one pool."""

    def __init__(self) -> None:
        self._by_name: dict[str, Endpoint] = {}
        self._tasks: OrderedDict[str, str] = OrderedDict()

    def add(self, endpoint: Endpoint) -> None:
        """An endpoint has come."""
        self._by_name[pin_name(endpoint.key)] = endpoint

    def remove(self, endpoint: Endpoint) -> None:
        """An endpoint is gone; what it issued goes to any other, which will say that it does not know it."""
        self._by_name.pop(pin_name(endpoint.key), None)

    def unpin(self, request: Request, body: bytes) -> tuple[Endpoint | None, bytes]:
        """Which endpoint issued what the request gives back, and the body as that endpoint expects it."""
        endpoint: Endpoint | None = None
        for member, value in (("requestState", request.request_state), ("cursor", request.cursor)):
            name, original = _split(value)
            if original is not None:
                endpoint = self._by_name.get(name) or endpoint
                body = replace_at(body, ("params", member), msgspec.json.encode(original))
        if endpoint is None and request.method is not None and request.method.startswith("tasks/"):
            endpoint = self._by_name.get(self._tasks.get(request.name or "", ""))
        return endpoint, body

    def pin(self, endpoint: Endpoint, message: Message, body: bytes) -> bytes:
        """The answer with the endpoint's name in what it issues."""
        name = pin_name(endpoint.key)
        for member, value in (("requestState", message.request_state), ("nextCursor", message.next_cursor)):
            if value is not None:
                body = replace_at(body, ("result", member), msgspec.json.encode(f"{PREFIX}{name}:{value}"))
        if message.task_id is not None:
            self._tasks[message.task_id] = name
            self._tasks.move_to_end(message.task_id)
            if len(self._tasks) > MAX_TASKS:
                self._tasks.popitem(last=False)
        return body


def issues(message: Message) -> bool:
    """Whether the answer holds something to pin."""
    return message.request_state is not None or message.next_cursor is not None or message.task_id is not None


def gives_back(request: Request) -> bool:
    """Whether the request may hold something pinned."""
    return (
        request.request_state is not None
        or request.cursor is not None
        or (request.method is not None and request.method.startswith("tasks/"))
    )


def _split(value: str | None) -> tuple[str, str | None]:
    """The endpoint's name and the original of a pinned value; any other value has no original."""
    if value is None or not value.startswith(PREFIX) or value[len(PREFIX) + _NAME : len(PREFIX) + _NAME + 1] != ":":
        return "", None
    return value[len(PREFIX) : len(PREFIX) + _NAME], value[len(PREFIX) + _NAME + 1 :]
