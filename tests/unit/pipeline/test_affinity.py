"""`load_balancer.hash_key`."""

from __future__ import annotations

import pytest

from mcppool.pipeline.call import Call
from mcppool.pipeline.routing.hash_policy import hash_key
from mcppool.spec import LoadBalancerSpec
from mcppool.wire.envelope import parse_request
from mcppool.wire.era import Era

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{}}}'
LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
LINES = [
    (b"accept", b"application/json"),
    (b"x-tenant", b"blue"),
    (b"authorization", b"Bearer t"),
    (b"x-long", b"my x-tenant: red"),
]


def key_of(spec: str, body: bytes = CALL) -> bytes | None:
    find = hash_key(LoadBalancerSpec(strategy="consistent_hash", hash_key=spec))
    assert find is not None
    return find(
        Call(
            parse_request(body), body, b"accept: application/json\r\n", Era.MODERN, 0.0, principal="alice", lines=LINES
        )
    )


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ("principal", b"alice"),
        ("tool", b"search"),
        ("header:X-Tenant", b"blue"),
        ("header:accept", b"application/json"),
        ("header:x-long", b"my x-tenant: red"),
        ("header:Authorization", b"Bearer t"),
        ("header:x-missing", None),
        ("header:tenant", None),
        ("header:cookie", None),
    ],
)
def test_the_key_is_what_the_pool_says(spec: str, key: bytes | None) -> None:
    assert key_of(spec) == key


def test_what_calls_no_tool_has_none_by_tool() -> None:
    assert key_of("tool", LIST) is None


def test_other_strategies_ask_for_none() -> None:
    assert hash_key(LoadBalancerSpec(strategy="random", hash_key="tool")) is None
