"""What a call needs, decided once before its first attempt (DESIGN §2)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mcppool.pipeline.exchange import Call
from mcppool.policy.retry_class import RetryClass, class_of_method
from mcppool.spec import RetryPolicySpec

if TYPE_CHECKING:
    from mcppool.pipeline.pool import Pool


class Plan:
    """One call's class and deadline; `tool` is set for `tools/call` alone, `unsafe` is what its connection must know."""

    __slots__ = ("deadline", "retry", "retry_class", "tool", "unsafe")

    def __init__(self, retry_class: RetryClass, deadline: float, tool: str | None, retry: RetryPolicySpec) -> None:
        self.retry_class = retry_class
        self.retry = retry
        self.deadline = deadline
        self.tool = tool
        self.unsafe = retry_class is RetryClass.UNSAFE


def make_plan(call: Call, pool: Pool) -> Plan:
    """Plan `call`. An unknown tool is unsafe; so is everything that is not a request (DESIGN §6)."""
    request = call.request
    method = request.method
    if method == "tools/call":
        tool = request.name or ""
        policy = pool.tools.of(tool)
        return Plan(policy.retry_class, call.received + policy.timeout, tool, policy.retry)
    retry_class = class_of_method(method) if method and request.id is not None else RetryClass.UNSAFE
    return Plan(retry_class, call.received + pool.spec.timeouts.request, None, pool.spec.retry_policy)
