"""`taskIds` of `subscriptions/listen`: the tasks that a client follows (extension `io.modelcontextprotocol/tasks`).

A task lives at one endpoint, and clients know it by its sealed id, so the gateway asks that endpoint alone.
"""

from __future__ import annotations

from typing import Final

import msgspec

from mcppool.pipeline.routing.pins import Pins
from mcppool.pipeline.subscriptions.filter import TASKS, WatchedTask
from mcppool.wire.members import UNREADABLE, readable
from mcppool.wire.versions import META_CLIENT_CAPABILITIES

REQUIRED: Final[dict[str, object]] = {"requiredCapabilities": {"extensions": {TASKS: {}}}}
"""`error.data` for a client that follows tasks and does not declare the extension."""


class _Notifications(msgspec.Struct):
    taskIds: list[str] = []  # noqa: N815 (the wire's spelling)


class _Capabilities(msgspec.Struct):
    extensions: dict[str, msgspec.Raw] = {}


class _Meta(msgspec.Struct):
    capabilities: _Capabilities = msgspec.field(name=META_CLIENT_CAPABILITIES, default_factory=_Capabilities)


class _Wanted(msgspec.Struct):
    notifications: _Notifications = msgspec.field(default_factory=_Notifications)


class _Declared(msgspec.Struct):
    meta: _Meta = msgspec.field(name="_meta", default_factory=_Meta)


class _Request(msgspec.Struct):
    params: _Wanted = msgspec.field(default_factory=_Wanted)


class _Client(msgspec.Struct):
    params: _Declared = msgspec.field(default_factory=_Declared)


_request = msgspec.json.Decoder(_Request).decode
_client = msgspec.json.Decoder(_Client).decode


def task_ids(body: bytes) -> list[str]:
    """The sealed ids in a listen request. Raises one of `UNREADABLE` if they are no list of strings."""
    return _request(readable(body)).params.notifications.taskIds


def declares_tasks(body: bytes) -> bool:
    """Whether the client of a request declares the extension."""
    try:
        return TASKS in _client(readable(body)).params.meta.capabilities.extensions
    except UNREADABLE:
        return False


def opened_tasks(ids: list[str], pins: Pins, principal: str) -> dict[WatchedTask, str]:
    """The tasks with these sealed ids, each with its sealed id. An id that this pool has not given to the principal
    is left out, as a server leaves out those that it does not know."""
    found: dict[WatchedTask, str] = {}
    for sealed in ids:
        opened = pins.open_task(sealed, principal)
        if opened is not None:
            found[WatchedTask(*opened)] = sealed
    return found
