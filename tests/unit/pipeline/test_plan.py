"""The plan of a call."""

from __future__ import annotations

from mcppool.pipeline.plan import Plan
from mcppool.policy.retry_class import SAFE
from mcppool.spec import RetryPolicySpec


def test_a_plan_with_another_message_keeps_all_else() -> None:
    plan = Plan(SAFE, 7.0, "read", RetryPolicySpec(), b"{}")
    for name in Plan.__slots__:
        setattr(plan, name, object())
    other = plan.with_message(b"[]", b"a: b\r\n")
    assert (other.body, other.forward) == (b"[]", b"a: b\r\n")
    rest = set(Plan.__slots__) - {"body", "forward"}
    assert {name: getattr(other, name) for name in rest} == {name: getattr(plan, name) for name in rest}
