"""The id of a task is sealed wherever the protocol has it, in both directions, for its principal alone."""

from __future__ import annotations

import json
from time import monotonic
from typing import Any

import pytest

from mcppool.pipeline.call import Call
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.routing.pins import PREFIX
from mcppool.pipeline.sessions.session import Session
from mcppool.wire.era import Era
from mcppool.wire.headers import encode_value
from mcppool.wire.rpc_request import parse_request
from mcppool.wire.rpc_response import parse_response
from mcppool.wire.sealing import Key, KeyRing, SessionClaims
from mcppool.wire.versions import META_RELATED_TASK as RELATED
from tests.unit.pipeline.pools import RING, Heard, call_of, planned, pool_of

B = "http://b/mcp"
TOOL = call_of("tools/call", name="write", arguments={})
CLAIMS = SessionClaims(
    endpoint=B, upstream_session="s", version="2025-11-25", capabilities=None, client=b"{}", issued=0, expires=1 << 40
)
ASKED = ("tasks/get", "tasks/update", "tasks/cancel", "tasks/result")


def answered(pool: ServerPool, result: dict[str, Any], call: Call = TOOL, principal: str = "anonymous") -> Any:
    """The result of endpoint B's answer to `call` as the client gets it."""
    body = json.dumps({"jsonrpc": "2.0", "id": 1, "result": result}, ensure_ascii=False).encode()
    return json.loads(pool.pins.pin(pool.endpoints[B], call.request, parse_response(body), body, principal))["result"]


def sealed(pool: ServerPool, id: str, principal: str = "anonymous") -> str:
    """A task of endpoint B as the client has it."""
    token = answered(pool, {"resultType": "task", "taskId": id, "status": "working"}, principal=principal)["taskId"]
    assert isinstance(token, str)
    assert token.startswith(PREFIX)
    return token


def sent(call: Call, pool: ServerPool) -> Any:
    """The `params` that the server of `call` gets; it must be B."""
    plan = planned(call, pool)
    assert plan.refusal is None
    assert plan.pin is pool.endpoints[B]
    assert pool.picker.endpoint_for(plan, (), monotonic()) is pool.endpoints[B]
    return json.loads(plan.body)["params"]


def named(method: str, name: str, **params: Any) -> Call:
    """A modern call with the headers of its client."""
    call = call_of(method, taskId=name, **params)
    forward = b"accept: a\r\nmcp-method: %b\r\nmcp-name: %b\r\nmcp-param-x: y\r\n"
    lines = forward % (method.encode(), encode_value(name).encode())
    return Call(call.request, call.body, lines, Era.MODERN, call.received)


@pytest.mark.parametrize("id", ["t-1", "786512e2-9e0d-44bd-8f29-789f320fe840", "tâche 1", "mcppool:x:y", "a\\/b", " "])
async def test_any_gateway_of_the_pool_takes_a_task_to_where_it_runs(id: str) -> None:
    one, other = pool_of("", "a", "b", "c"), pool_of("", "c", "b", "a")
    token = sealed(one, id)
    assert id == " " or id not in token
    for method in ASKED:
        for gateway in (one, other):
            assert sent(call_of(method, taskId=token, kept=True), gateway) == {"taskId": id, "kept": True}


@pytest.mark.parametrize("id", ["t-1", "tâche 1", "=?base64?eA==?="])
async def test_the_name_header_that_the_server_gets_is_its_own_id(id: str) -> None:
    pool = pool_of("", "a", "b")
    plan = planned(named("tasks/get", sealed(pool, id)), pool)
    value = encode_value(id).encode()
    assert plan.forward == b"accept: a\r\nmcp-method: tasks/get\r\nmcp-name: %b\r\nmcp-param-x: y\r\n" % value


async def test_half_a_surrogate_pair_in_an_id_comes_back_as_the_server_wrote_it() -> None:
    pool = pool_of("", "a", "b")
    body = b'{"jsonrpc":"2.0","id":1,"result":{"resultType":"task","taskId":"x\\ud800"}}'
    seen = json.loads(pool.pins.pin(pool.endpoints[B], TOOL.request, parse_response(body), body, "anonymous"))
    plan = planned(named("tasks/get", seen["result"]["taskId"]), pool)
    assert plan.pin is pool.endpoints[B]
    assert b'"x\\ud800"' in plan.body


@pytest.mark.parametrize("key", ["task", "taskId"])
async def test_a_task_is_sealed_in_the_form_of_either_era(key: str) -> None:
    pool = pool_of("", "a", "b")
    task = {"taskId": "t-1", "status": "working", "other": [1, {"taskId": "inner"}]}
    modern = {**task, "resultType": "task"}
    result = answered(pool, {"task": task, "more": 1} if key == "task" else modern)
    seen = result["task"] if key == "task" else result
    assert sent(call_of("tasks/get", taskId=seen["taskId"]), pool)["taskId"] == "t-1"
    assert seen["other"] == [1, {"taskId": "inner"}]


@pytest.mark.parametrize("method", ASKED)
async def test_messages_about_a_task_have_the_id_that_its_client_knows(method: str) -> None:
    pool = pool_of("", "a", "b")
    token = sealed(pool, "t-1")
    call = call_of(method, taskId=token)
    meta = {RELATED: {"taskId": "t-1"}}
    inner = {"taskId": "t-1", "content": []}
    result = answered(pool, {"resultType": "complete", "taskId": "t-1", "_meta": meta, "result": inner}, call)
    assert result == {
        "resultType": "complete", "taskId": token, "_meta": {RELATED: {"taskId": token}}, "result": inner,
    }  # fmt: skip


async def test_a_list_of_tasks_has_the_ids_that_their_clients_know() -> None:
    pool = pool_of("", "a", "b")
    call = call_of("tasks/list", era=Era.LEGACY)
    tasks = [{"taskId": f"t-{n}", "status": "working"} for n in range(3)]
    result = answered(pool, {"tasks": [*tasks, {"no": "id"}, 5], "nextCursor": "c"}, call)
    assert result["tasks"] == [{**task, "taskId": sealed(pool, task["taskId"])} for task in tasks] + [{"no": "id"}, 5]
    assert result["nextCursor"].startswith(PREFIX)
    for odd in ({"tasks": 5}, {"tasks": {}}, {"tasks": None}, {}):
        assert answered(pool, odd, call) == odd


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("notifications/tasks/status", {"taskId": "t-1", "status": "working"}),
        ("notifications/tasks", {"taskId": "t-1", "status": "completed", "result": {"taskId": "t-1"}}),
        ("notifications/progress", {"progress": 1, "progressToken": 1, "_meta": {RELATED: {"taskId": "t-1"}}}),
        ("elicitation/create", {"message": "?", "_meta": {"other": 1, RELATED: {"taskId": "t-1"}}}),
    ],
)
async def test_events_on_a_stream_have_the_id_that_their_client_knows(method: str, params: dict[str, Any]) -> None:
    pool = pool_of("", "a", "b")
    token = sealed(pool, "t-1")
    data = json.dumps({"jsonrpc": "2.0", "method": method, "params": params}).encode()
    seen = pool.pins.pin_event(pool.endpoints[B], TOOL.request, parse_response(data), data, "anonymous")
    expected = json.loads(json.dumps(params))
    if "taskId" in params:
        expected["taskId"] = token
    if "_meta" in params:
        expected["_meta"][RELATED]["taskId"] = token
    assert json.loads(seen)["params"] == expected


async def test_an_event_that_is_about_no_task_is_not_touched() -> None:
    pool = pool_of("", "a", "b")
    data = b'{"jsonrpc":"2.0","method":"notifications/message","params":{"data":{"taskId":"t-1"}}}'
    assert pool.pins.pin_event(pool.endpoints[B], TOOL.request, parse_response(data), data, "anonymous") is data


@pytest.mark.parametrize("result", [{"taskId": "t-1"}, {"structuredContent": {"taskId": "t-1"}}, {"task": "t-1"}])
async def test_lookalikes_of_tasks_pass_unchanged(result: dict[str, Any]) -> None:
    assert answered(pool_of("", "a", "b"), result) == result
    assert answered(pool_of("", "a", "b"), {"task": {"taskId": "t-1"}}, call_of("com.example/x")) == {
        "task": {"taskId": "t-1"}
    }


async def test_a_message_that_belongs_to_a_task_goes_to_where_it_runs() -> None:
    pool = pool_of("", "a", "b")
    meta = {RELATED: {"taskId": sealed(pool, "t-1")}}
    assert sent(call_of("tools/call", name="x", _meta=meta), pool)["_meta"] == {RELATED: {"taskId": "t-1"}}


@pytest.mark.parametrize("method", ASKED)
@pytest.mark.parametrize("era", list(Era))
async def test_a_guessed_invented_or_changed_id_reaches_no_server(method: str, era: Era) -> None:
    pool = pool_of("", "a", "b")
    token = sealed(pool, "t-1")
    middle = len(token) // 2
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    for value in ("t-1", "", changed, token[:-8], token + "AAAA", "mcppool:", "mcppool:test:", token.upper()):
        heard = Heard()
        await pool.serve(call_of(method, era=era, taskId=value), heard)
        error = json.loads(heard.body)["error"]
        assert (heard.status, error["code"]) == (400 if era is Era.MODERN else 200, -32602)
        assert "params.taskId " in error["message"]


async def test_a_task_is_its_principals_own() -> None:
    pool = pool_of("", "a", "b")
    anns = sealed(pool, "t-1", "ann")
    assert planned(call_of("tasks/get", principal="ann", taskId=anns), pool).pin is pool.endpoints[B]
    for other in ("bob", "anonymous", ""):
        assert planned(call_of("tasks/get", principal=other, taskId=anns), pool).refusal is not None
    assert anns != sealed(pool, "t-1", "bob")


async def test_a_value_of_another_kind_or_pool_is_no_task() -> None:
    pool = pool_of("", "a", "b")
    state = answered(pool, {"resultType": "input_required", "requestState": "t-1"})["requestState"]
    cursor = answered(pool, {"nextCursor": "t-1"}, call_of("tools/list"))["nextCursor"]
    task = sealed(pool, "t-1")
    for value in (state, cursor):
        assert planned(call_of("tasks/get", taskId=value), pool).refusal is not None
    assert planned(call_of("tools/list", cursor=task), pool).refusal is not None
    assert planned(call_of("tools/call", name="x", requestState=task), pool).refusal is not None
    stranger = pool_of("", "a", "b")
    stranger.renew_ring(KeyRing([Key("test", b"x" * 32)]))
    assert planned(call_of("tasks/get", taskId=task), stranger).refusal is not None


async def test_a_task_keeps_its_id_on_every_gateway_and_while_keys_are_rotated() -> None:
    one, other = pool_of("", "a", "b"), pool_of("", "b", "a")
    token = sealed(one, "t-1")
    assert sealed(other, "t-1") == token != sealed(other, "t-2")
    other.renew_ring(KeyRing([Key("new", b"n" * 32), *RING.keys]))
    call = call_of("tasks/get", taskId=token)
    assert sent(call, other)["taskId"] == "t-1"
    assert answered(other, {"taskId": "t-1"}, call)["taskId"] == token
    assert answered(other, {"taskId": "t-2"}, call)["taskId"] == sealed(other, "t-2")


async def test_a_session_keeps_its_ids() -> None:
    pool = pool_of("", "a", "b")
    opened = Session(CLAIMS)
    body = b'{"jsonrpc":"2.0","id":1,"method":"tasks/get","params":{"taskId":"t-1"}}'
    call = Call(parse_request(body), body, b"", Era.LEGACY, monotonic(), session=opened)
    plan = planned(call, pool)
    assert (plan.pin, plan.body, plan.refusal) == (None, body, None)


async def test_a_call_to_where_a_task_runs_is_not_hedged() -> None:
    pool = pool_of('[retry_policy]\nhedge_after = "10ms"', "a", "b")
    assert planned(call_of("tools/list"), pool).hedge_after == 0.01
    assert planned(call_of("tasks/get", taskId=sealed(pool, "t-1")), pool).hedge_after is None


@pytest.mark.parametrize("method", ["tasks/get", "tools/call"])
async def test_a_task_in_a_large_answer_is_sealed_too(method: str) -> None:
    pool = pool_of("", "a", "b")
    token = sealed(pool, "t-1")
    call = call_of(method, taskId=token) if method == "tasks/get" else TOOL
    filling = [{"n": number} for number in range(200_000)]
    task = {"taskId": "t-1", "status": "working", "statusMessage": "x" * 5000}
    result = answered(
        pool, {**task, "result": filling} if method == "tasks/get" else {"more": filling, "task": task}, call
    )
    assert (result if method == "tasks/get" else result["task"])["taskId"] == token
    assert (result["result"] if method == "tasks/get" else result["more"]) == filling


async def test_a_long_list_of_tasks_is_sealed_too() -> None:
    pool = pool_of("", "a", "b")
    tasks = [{"taskId": f"t-{n}", "status": "working", "statusMessage": "x" * 1000} for n in range(700)]
    result = answered(pool, {"tasks": tasks, "other": "y" * 500_000}, call_of("tasks/list", era=Era.LEGACY))
    assert [task["taskId"] for task in result["tasks"]] == [sealed(pool, task["taskId"]) for task in tasks]


async def test_the_endpoint_and_the_id_of_a_task_are_known_to_its_client_alone() -> None:
    pool = pool_of("", "a", "b")
    token = sealed(pool, "t-1")
    opened = pool.pins.open_task(token, "anonymous")
    assert opened is not None
    assert opened[1] == "t-1"
    for other in (token[:-4] + "AAA=", "t-1", "", PREFIX):
        assert pool.pins.open_task(other, "anonymous") is None
    assert pool.pins.open_task(token, "another") is None
