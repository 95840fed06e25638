"""What is written down of a finished call."""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING

from mcppool.observe.logs import get_logger
from mcppool.pipeline.exchange import Call
from mcppool.pipeline.plan import Plan

if TYPE_CHECKING:
    from mcppool.pipeline.attempt import Outcome
    from mcppool.pipeline.pool import Pool

log = get_logger("call")


def account(pool: Pool, call: Call, plan: Plan, outcome: Outcome) -> None:
    """Count the call under the names of DESIGN §11; one line in the log where level debug is on."""
    duration = (outcome.ended or monotonic()) - call.received
    method = call.request.method or call.request.kind
    pool.metrics.request(method, outcome.status)
    if plan.tool is not None and outcome.status != "cancelled":
        stats = pool.metrics.tool(plan.tool)
        stats.duration.observe(duration)
        if outcome.status == "success":
            stats.success += 1
            stats.size.observe(outcome.size)
        elif outcome.status == "tool_error":
            stats.tool_error += 1
            stats.size.observe(outcome.size)
        elif outcome.status == "rejected":
            stats.rejected += 1
        else:
            stats.error += 1
    if log.debug_enabled:
        log.call(
            request_id=(call.request.id or b"").decode("utf-8", "replace"),
            pool=pool.name,
            method=method,
            tool=plan.tool,
            endpoint=outcome.endpoint.key if outcome.endpoint is not None else None,
            attempts=outcome.attempts,
            retry_class=plan.retry_class.name.lower(),
            status=outcome.status,
            duration=duration,
        )
