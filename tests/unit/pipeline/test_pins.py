"""A value goes back to the endpoint that issued it, unchanged, through any gateway."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
from time import monotonic
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mcppool.pipeline.attempt import Attempt
from mcppool.pipeline.call import Call
from mcppool.pipeline.outcome import Outcome
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.pipeline.response.validate import accept_answer
from mcppool.pipeline.routing.pins import Pins, UnknownPin, gives_back, issues
from mcppool.upstream.failures import BadAnswer
from mcppool.wire.rpc_response import parse_response
from mcppool.wire.sealing import Key, KeyRing
from tests.unit.footprint import footprint
from tests.unit.pipeline.pools import RING, Heard, call_of, planned, pool_of

MEMBERS = [("nextCursor", "cursor"), ("requestState", "requestState")]
B = "http://b/mcp"
LIST = call_of("tools/list")


def answer(**result: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "result": {"more": [1, {"x": 2}], **result}}).encode()


def pinned(pool: ServerPool, body: bytes, call: Call = LIST, principal: str = "anonymous") -> bytes:
    """The answer of endpoint B to `call` as the client gets it."""
    return pool.pins.pin(pool.endpoints[B], call.request, parse_response(body), body, principal)


@given(value=st.text(max_size=40) | st.just("mcppool:test:nested"), member=st.sampled_from(MEMBERS))
@settings(deadline=None, max_examples=60)
def test_any_value_comes_back_as_it_was_to_where_it_came_from(value: str, member: tuple[str, str]) -> None:
    out, back = member

    async def check() -> None:
        one, other = pool_of("", "a", "b", "c"), pool_of("", "c", "b", "a")
        body = answer(**{out: value})
        message = parse_response(body)
        assert issues(LIST.request, message)
        seen = json.loads(one.pins.pin(one.endpoints[B], LIST.request, message, body, "anonymous"))["result"]
        assert seen["more"] == [1, {"x": 2}]
        call = call_of("tools/list", **{back: seen[out]}, kept=True)
        assert gives_back(call.request)
        for gateway in (one, other):
            plan = planned(call, gateway)
            assert plan.pin is gateway.endpoints[B]
            assert json.loads(plan.body)["params"] == {back: value, "kept": True}
            assert gateway.picker.endpoint_for(plan, (), monotonic()) is gateway.endpoints[B]

    asyncio.run(check())


@pytest.mark.parametrize("value", ["", "mine", "mcppool", "Mcppool:x"])
async def test_a_value_of_another_kind_goes_on_as_it_is(value: str) -> None:
    pool = pool_of("", "a", "b")
    call = call_of("tools/list", cursor=value)
    plan = planned(call, pool)
    assert (plan.pin, plan.body, plan.refusal) == (None, call.body, None)


async def sealed(pool: ServerPool, member: str, value: str = "x", principal: str = "anonymous") -> str:
    body = answer(**{member: value})
    token: str
    token = json.loads(pinned(pool, body, principal=principal))["result"][member]
    return token


@pytest.mark.parametrize("member", MEMBERS)
async def test_an_invented_or_changed_pin_is_refused_with_its_place(member: tuple[str, str]) -> None:
    out, back = member
    pool = pool_of("", "a", "b")
    token = await sealed(pool, out)
    middle = len(token) // 2
    changed = token[:middle] + ("A" if token[middle] != "A" else "B") + token[middle + 1 :]
    name = hashlib.sha256(B.encode()).hexdigest()[:8]
    for value in (changed, token[:-8], token + "AAAA", "mcppool:", f"mcppool:{name}:x", "mcppool:test:é", "mcppool:x:"):
        plan = planned(call_of("tools/list", **dict[str, Any]({back: value})), pool)
        assert plan.pin is None
        assert plan.refusal is not None
        assert f"params.{back} " in plan.refusal


async def test_a_refused_value_reaches_no_server() -> None:
    heard = Heard()
    await pool_of("", "a", "b").serve(call_of("tools/list", cursor="mcppool:test:AAAA"), heard)
    assert (heard.status, json.loads(heard.body)["error"]["code"]) == (400, -32602)


async def test_a_state_is_good_for_its_principal_pool_and_member_and_a_cursor_for_all() -> None:
    pool = pool_of("", "a", "b")
    state, cursor = (
        await sealed(pool, "requestState", principal="ann"),
        await sealed(pool, "nextCursor", principal="ann"),
    )

    def refused(principal: str, **params: Any) -> bool:
        return planned(call_of("tools/list", principal=principal, **params), pool).refusal is not None

    assert not refused("ann", requestState=state)
    assert refused("bob", requestState=state)
    assert not refused("bob", cursor=cursor)
    assert refused("ann", cursor=state)
    assert refused("ann", requestState=cursor)
    for theirs in (Pins("other", RING), Pins("p", KeyRing([Key("test", b"x" * 32)]))):
        with pytest.raises(UnknownPin):
            theirs.unpin(call_of("tools/list", cursor=cursor).request, b"{}", b"", "ann")


async def test_a_pin_reveals_neither_the_value_nor_the_server() -> None:
    pool = pool_of("", "a", "b")
    token = await sealed(pool, "requestState", "user=secret;step=2")
    opaque = base64.urlsafe_b64decode(token.rpartition(":")[2])
    assert b"secret" not in opaque
    assert b"http://" not in opaque
    assert token != await sealed(pool, "requestState", "user=secret;step=2")


async def test_a_ring_with_a_new_first_key_opens_pins_of_the_old_one() -> None:
    old, new = RING.keys[0], Key("new", b"n" * 32)
    pool = pool_of("", "a", "b")
    token = await sealed(pool, "nextCursor")
    pool.renew_ring(KeyRing([new, old]))
    assert planned(call_of("tools/list", cursor=token), pool).pin is pool.endpoints[B]
    fresh = await sealed(pool, "nextCursor")
    pool.renew_ring(KeyRing([new]))
    assert planned(call_of("tools/list", cursor=fresh), pool).pin is pool.endpoints[B]
    assert planned(call_of("tools/list", cursor=token), pool).refusal is not None


@pytest.mark.parametrize(
    "raw",
    [b'"\\ud800"', b'"a\\uDfff \\\\ud800"', b'"\\u00e9\\/"', b'"\xc3\xa9"', b'"' + b"x" * 700_000 + b'"', b'""'],
)
async def test_a_server_gets_back_the_very_bytes_that_it_issued(raw: bytes) -> None:
    pool = pool_of("", "a", "b")
    body = b'{"jsonrpc":"2.0","id":1,"result":{"requestState":%b}}' % raw
    seen = pinned(pool, body)
    assert len(seen) <= len(body) * 4 / 3 + 200
    plan = planned(call_of("tools/call", name="x", requestState=json.loads(seen)["result"]["requestState"]), pool)
    assert plan.pin is pool.endpoints[B]
    assert b'"requestState":%b' % raw in plan.body.replace(b": ", b":")


@pytest.mark.parametrize("member", ["requestState", "nextCursor"])
@pytest.mark.parametrize(
    "result",
    [b'"x":1,"x":2,"MEMBER":"v"', b'"MEMBER":"v",' + b",".join(b'"m%d":0' % number for number in range(1000))],
    ids=["a name twice", "too many members"],
)
async def test_an_answer_that_cannot_be_taken_apart_is_no_answer(member: str, result: bytes) -> None:
    pool = pool_of("", "a", "b")
    body = b'{"jsonrpc":"2.0","id":1,"result":{%b}}' % result.replace(b"MEMBER", member.encode())
    heard, outcome = Heard(), Outcome()
    attempt = Attempt(pool.attempts.context, LIST, planned(LIST, pool), pool.endpoints[B], heard, outcome, None, 0.0)
    with pytest.raises(BadAnswer):
        accept_answer(attempt, 200, parse_response(body), body)


async def test_a_pin_of_a_removed_endpoint_goes_to_another_endpoint() -> None:
    pool = pool_of("", "a", "b")
    body = answer(nextCursor="x")
    cursor = json.loads(pinned(pool, body))["result"]["nextCursor"]
    pool.pins.remove(pool.endpoints[B])
    plan = planned(call_of("tools/list", cursor=cursor), pool)
    assert plan.pin is None
    assert json.loads(plan.body)["params"]["cursor"] == "x"


async def test_a_pin_to_a_lost_endpoint_does_not_keep_a_call_from_the_others() -> None:
    pool = pool_of("", "a", "b")
    body = answer(nextCursor="x")
    cursor = json.loads(pinned(pool, body))["result"]["nextCursor"]
    pool.endpoints[B].health.unreachable()
    plan = planned(call_of("tools/list", cursor=cursor), pool)
    assert pool.picker.endpoint_for(plan, (), monotonic()).key == "http://a/mcp"


async def test_issued_values_use_no_memory() -> None:
    pool = pool_of("", "a", "b")
    body = answer(resultType="task", taskId="t" * 100_000, requestState="s" * 100_000)
    before = footprint(pool.pins)
    pinned(pool, body, principal="ann")
    assert footprint(pool.pins) == before
