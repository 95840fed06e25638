"""The plan of a call."""

from __future__ import annotations

from typing import Any

from mcppool.pipeline.plan import Plan
from mcppool.policy.cache_rules import Rule
from mcppool.policy.retry_class import SAFE, UNSAFE
from mcppool.spec import RetryPolicySpec
from tests.attributes import attributes_of
from tests.unit.pipeline.pools import call_of, pool_of


async def test_a_plan_with_another_message_keeps_all_else() -> None:
    plan = Plan(SAFE, 7.0, "read", RetryPolicySpec(), b"{}")
    others: dict[str, Any] = {
        "retry_class": UNSAFE, "unsafe": True, "deadline": 8.0, "end": 9.0, "hedge_after": 0.5, "tool": "write",
        "key": b"k", "retry": RetryPolicySpec(), "pin": pool_of("", "a").endpoints["http://a/mcp"], "refusal": "no",
        "kept": Rule("tools/call", 1.0, 2.0, "never", False, None), "call": call_of("tools/list"),
        "conceal": lambda body: body,
    }  # fmt: skip
    assert set(others) == attributes_of(Plan) - {"body", "forward", "picked"}
    for name, value in others.items():
        setattr(plan, name, value)
    other = plan.with_message(b"[]", b"a: b\r\n")
    assert (other.body, other.forward) == (b"[]", b"a: b\r\n")
    assert {name: getattr(other, name) for name in others} == others
