"""The places of task ids in messages: the tasks of 2025-11-25, and the tasks extension of 2026-07-28.

A gateway that changes these ids must change all of them, in both directions, or clients lose the connection between a
task and the messages about it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from mcppool.wire.members import UNREADABLE
from mcppool.wire.places import map_at
from mcppool.wire.versions import META_RELATED_TASK

Convert = Callable[[bytes], bytes | None]
"""The raw JSON of an id → the raw JSON that replaces it, None if it stays."""

METHODS: Final = frozenset({"tasks/get", "tasks/update", "tasks/cancel", "tasks/result", "tasks/list"})
"""The requests about existing tasks."""

CREATORS: Final = frozenset({"tools/call", "prompts/get", "resources/read"})
"""The requests that a server may answer with a task; in 2025-11-25 and 2026-07-28 only the first one."""

TASK: Final = "task"
"""The `resultType` of an answer that is a task."""

_ID: Final = "taskId"
_NOTIFICATIONS: Final = "notifications/tasks"
_RELATED_NAME: Final = b"related-task"  # writers that escape a part of the member's name escape the slash
_elements = msgspec.json.Decoder(list[msgspec.Raw]).decode


def convert_answer(body: bytes, method: str, result_type: str | None, convert: Convert) -> bytes:
    """The answer to a request of this method, with the ids of tasks converted. Raises BadEnvelope."""
    about_tasks = method in METHODS
    if about_tasks or result_type == TASK:
        body = map_at(body, ("result", _ID), convert)
    if method == "tasks/list":
        body = map_at(body, ("result", "tasks"), lambda raw: _convert_list(raw, convert))
    if method in CREATORS:
        body = map_at(body, ("result", "task", _ID), convert)
    return _convert_related(body, "result", convert)


def may_name_task(body: bytes, method: str) -> bool:
    """Whether `convert_event` may find the id of a task in a request or notification of a server."""
    return _RELATED_NAME in body or method.startswith(_NOTIFICATIONS)


def convert_event(body: bytes, method: str, convert: Convert) -> bytes:
    """A request or notification of a server, with the ids of tasks converted; the same object if it has none. Raises
    BadEnvelope."""
    if method.startswith(_NOTIFICATIONS):
        body = map_at(body, ("params", _ID), convert)
    return _convert_related(body, "params", convert)


def _convert_related(body: bytes, part: str, convert: Convert) -> bytes:
    return map_at(body, (part, "_meta", META_RELATED_TASK, _ID), convert) if _RELATED_NAME in body else body


def _convert_list(raw: bytes, convert: Convert) -> bytes | None:
    try:
        tasks = _elements(raw)
    except UNREADABLE:
        return None
    return b"[%b]" % b",".join([_convert_task(bytes(task), convert) for task in tasks])


def _convert_task(raw: bytes, convert: Convert) -> bytes:
    return map_at(raw, (_ID,), convert)
