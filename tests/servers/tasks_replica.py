"""A replica of a server with the tasks extension, on the official SDK 2.x; only it knows its tasks.

Run as a program: `tasks_replica.py --port N --name A`. Its tool `start` answers with a task, which asks for `words`
(`tasks/update`) before it completes. `subscriptions/listen` reports the state of tasks.
"""

from __future__ import annotations

import argparse
import asyncio
from typing import Any, Literal
from uuid import uuid4

from mcp.server import MCPServer
from mcp.server.context import CallNext, HandlerResult, ServerRequestContext
from mcp.server.extension import Extension, MethodBinding
from mcp.shared.exceptions import MCPError
from mcp_types import (
    INVALID_PARAMS,
    CallToolRequestParams,
    RequestParams,
    SubscriptionFilter,
    SubscriptionsAcknowledgedNotification,
    SubscriptionsAcknowledgedNotificationParams,
    SubscriptionsListenRequestParams,
    SubscriptionsListenResult,
)
from pydantic import BaseModel

MODERN = frozenset({"2026-07-28"})
Status = Literal["working", "input_required", "completed", "cancelled"]


class OfTask(RequestParams):
    """The parameters of `tasks/get` and `tasks/cancel`."""

    task_id: str


class Update(OfTask):
    """The parameters of `tasks/update`."""

    input_responses: dict[str, Any]


class Changed(BaseModel):
    """The state of a task."""

    method: Literal["notifications/tasks"] = "notifications/tasks"
    params: dict[str, Any]


class Tasks(Extension):
    """The tasks of one process."""

    identifier = "io.modelcontextprotocol/tasks"

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: dict[str, dict[str, Any]] = {}
        self._listeners: set[asyncio.Queue[dict[str, Any]]] = set()

    def methods(self) -> list[MethodBinding]:
        """The clients' requests about tasks."""
        return [
            MethodBinding("tasks/get", OfTask, self._get, MODERN),
            MethodBinding("tasks/cancel", OfTask, self._cancel, MODERN),
            MethodBinding("tasks/update", Update, self._update, MODERN),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: ServerRequestContext[Any, Any], call_next: CallNext
    ) -> HandlerResult:
        """`start` becomes a task."""
        if params.name != "start":
            return await call_next(ctx)
        id = str(uuid4())
        self._tasks[id] = {"taskId": id, "createdAt": "2026-11-29T00:00:00Z", "ttlMs": None}
        question = {"method": "elicitation/create", "params": {"mode": "form", "message": "Which words?"}}
        return {**self._become(id, "input_required", inputRequests={"words": question}), "resultType": "task"}

    def _become(self, id: str, status: Status, **more: Any) -> dict[str, Any]:
        task = self._tasks.get(id)
        if task is None:
            raise MCPError(INVALID_PARAMS, f"{self._name} knows no task {id}")
        changed = task.get("status") != status
        task.update(status=status, lastUpdatedAt="2026-11-29T00:00:00Z", **more)
        for listener in self._listeners if changed else ():
            listener.put_nowait(dict(task))
        return task

    async def listen(
        self, ctx: ServerRequestContext[Any, Any], params: SubscriptionsListenRequestParams
    ) -> SubscriptionsListenResult:
        """`subscriptions/listen`: the changes of the known ones of `taskIds`, which its acknowledgement names."""
        wanted = (params.notifications.model_extra or {}).get("taskIds", [])
        known = [id for id in wanted if id in self._tasks]
        meta: Any = {"io.modelcontextprotocol/subscriptionId": ctx.request_id}
        honoured = SubscriptionFilter.model_validate({"taskIds": known})
        acknowledged = SubscriptionsAcknowledgedNotificationParams(notifications=honoured, _meta=meta)
        changes: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._listeners.add(changes)
        try:
            await ctx.session.send_notification(
                SubscriptionsAcknowledgedNotification(params=acknowledged), related_request_id=ctx.request_id
            )
            while True:
                task = await changes.get()
                if task["taskId"] in known:
                    changed: Any = Changed(params={**task, "_meta": meta})
                    await ctx.session.send_notification(changed, related_request_id=ctx.request_id)
        finally:
            self._listeners.discard(changes)

    async def _get(self, ctx: ServerRequestContext[Any, Any], params: OfTask) -> HandlerResult:
        return self._become(params.task_id, self._tasks.get(params.task_id, {}).get("status", "working"))

    async def _cancel(self, ctx: ServerRequestContext[Any, Any], params: OfTask) -> HandlerResult:
        self._become(params.task_id, "cancelled")
        return {}

    async def _update(self, ctx: ServerRequestContext[Any, Any], params: Update) -> HandlerResult:
        words = params.input_responses["words"]["content"]["words"]
        result = {"content": [{"type": "text", "text": f"{words} by {self._name}"}], "isError": False}
        self._become(params.task_id, "completed", result=result)
        return {}


def main() -> None:
    """Serve until a signal comes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--name", required=True)
    options = parser.parse_args()
    tasks = Tasks(options.name)
    mcp = MCPServer("mcppool-test-tasks", version="1.0.0", extensions=[tasks], subscriptions=False)
    mcp._lowlevel_server.add_request_handler("subscriptions/listen", SubscriptionsListenRequestParams, tasks.listen)

    @mcp.tool()
    async def start() -> str:
        """Becomes a task."""
        return "never"

    mcp.run(transport="streamable-http", port=options.port, json_response=True)


if __name__ == "__main__":
    main()
