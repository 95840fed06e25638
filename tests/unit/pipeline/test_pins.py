"""What an endpoint issued goes back to it, unchanged, whichever gateway it comes through."""

from __future__ import annotations

import asyncio
import json
from time import monotonic

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.pipeline import pins as pins_module
from mcppool.pipeline.pins import gives_back, issues
from mcppool.pipeline.plan import make_plan
from mcppool.wire.envelope import parse_response
from tests.unit.pipeline.pools import call_of, pool_of

MEMBERS = [("nextCursor", "cursor"), ("requestState", "requestState")]
B = "http://b/mcp"


def answer(**result: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"more": [1, {"x": 2}], **result}}).encode()


@given(value=st.text(max_size=40) | st.just("mcppool:01234567:nested"), member=st.sampled_from(MEMBERS))
@settings(deadline=None, max_examples=60)
def test_any_value_comes_back_as_it_was_to_where_it_came_from(value: str, member: tuple[str, str]) -> None:
    out, back = member

    async def check() -> None:
        one, other = pool_of("", "a", "b", "c"), pool_of("", "c", "b", "a")
        body = answer(**{out: value})
        message = parse_response(body)
        assert issues(message)
        seen = json.loads(one.pins.pin(one.endpoints[B], message, body))["result"]
        assert seen["more"] == [1, {"x": 2}]
        call = call_of("tools/list", **{back: seen[out]}, kept=True)
        assert gives_back(call.request)
        for gateway in (one, other):
            plan = make_plan(call, gateway)
            assert plan.pin is gateway.endpoints[B]
            assert json.loads(plan.body)["params"] == {back: value, "kept": True}
            assert gateway.choice.endpoint_for(plan, (), monotonic()) is gateway.endpoints[B]

    asyncio.run(check())


@pytest.mark.parametrize("value", ["", "mine", "mcppool:", "mcppool:x", "mcppool:0123456:x", "mcppool:012345678x"])
async def test_a_value_of_another_kind_goes_on_as_it_is(value: str) -> None:
    pool = pool_of("", "a", "b")
    call = call_of("tools/list", cursor=value)
    plan = make_plan(call, pool)
    assert (plan.pin, plan.body) == (None, call.body)


async def test_what_an_endpoint_that_is_gone_issued_goes_to_another_which_will_not_know_it() -> None:
    pool = pool_of("", "a", "b")
    gone = pool.endpoints[B]
    body = answer(nextCursor="x")
    cursor = json.loads(pool.pins.pin(gone, parse_response(body), body))["result"]["nextCursor"]
    pool.pins.remove(gone)
    plan = make_plan(call_of("tools/list", cursor=cursor), pool)
    assert plan.pin is None
    assert json.loads(plan.body)["params"]["cursor"] == "x"


async def test_a_pin_to_a_lost_endpoint_does_not_keep_a_call_from_the_others() -> None:
    pool = pool_of("", "a", "b")
    body = answer(nextCursor="x")
    cursor = json.loads(pool.pins.pin(pool.endpoints[B], parse_response(body), body))["result"]["nextCursor"]
    pool.endpoints[B].lose("unreachable")
    plan = make_plan(call_of("tools/list", cursor=cursor), pool)
    assert pool.choice.endpoint_for(plan, (), monotonic()).key == "http://a/mcp"


async def test_a_task_is_asked_about_where_it_runs() -> None:
    pool = pool_of("", "a", "b", "c")
    body = answer(resultType="task", taskId="t-1", status="working")
    message = parse_response(body)
    assert message.task_id == "t-1"
    assert pool.pins.pin(pool.endpoints[B], message, body) == body
    for method in ("tasks/get", "tasks/cancel"):
        assert make_plan(call_of(method, taskId="t-1"), pool).pin is pool.endpoints[B]
        assert make_plan(call_of(method, taskId="t-2"), pool).pin is None


async def test_tasks_are_remembered_up_to_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pins_module, "MAX_TASKS", 3)
    pool = pool_of("", "a", "b")
    for number in range(5):
        body = answer(resultType="task", taskId=f"t-{number}", status="working")
        pool.pins.pin(pool.endpoints[B], parse_response(body), body)
    known = [n for n in range(5) if make_plan(call_of("tasks/get", taskId=f"t-{n}"), pool).pin is not None]
    assert known == [2, 3, 4]
