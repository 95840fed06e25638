"""`load_balancer.hash_key`."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from mcppool.pipeline.call import Call
from mcppool.pipeline.routing.hash_policy import hash_key
from mcppool.spec import LoadBalancerSpec
from mcppool.upstream.catalog import ToolPage
from mcppool.wire.era import Era
from mcppool.wire.rpc_request import parse_request
from tests.principals import principal_of

CALL = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"search","arguments":{}}}'
LIST = b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}'
LINES = [
    (b"accept", b"application/json"),
    (b"x-tenant", b"blue"),
    (b"authorization", b"Bearer t"),
    (b"x-long", b"my x-tenant: red"),
]


SCHEMA = {
    "region": {"type": "string", "x-mcp-header": "Region"},
    "page": {"type": "integer", "x-mcp-header": "Page"},
    "where": {"type": "object", "properties": {"city": {"type": "string", "x-mcp-header": "City"}}},
    "a": {"type": "string", "x-mcp-header": "Twice"},
    "b": {"type": "string", "x-mcp-header": "twice"},
}
PAGE = {"tools": [{"name": "search", "inputSchema": {"type": "object", "properties": SCHEMA}}, {"name": "plain"}]}
TOOLS = {tool.name: tool for tool in msgspec.json.decode(json.dumps(PAGE), type=ToolPage).infos({})}


def key_of(spec: str, body: bytes = CALL) -> bytes | None:
    find = hash_key(LoadBalancerSpec(strategy="consistent_hash", hash_key=spec), lambda: TOOLS)
    assert find is not None
    return find(
        Call(
            parse_request(body),
            body,
            b"accept: application/json\r\n",
            Era.MODERN,
            0.0,
            principal=principal_of("alice"),
            lines=LINES,
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
def test_the_key_follows_the_pools_setting(spec: str, key: bytes | None) -> None:
    assert key_of(spec) == key


def test_a_request_without_a_tool_has_no_key_by_tool() -> None:
    assert key_of("tool", LIST) is None


def test_other_strategies_ask_for_none() -> None:
    assert hash_key(LoadBalancerSpec(strategy="random", hash_key="tool"), lambda: TOOLS) is None


def key_by_param(
    header: str, *values: bytes, arguments: Any, tool: str = "search", era: Era = Era.MODERN, method: str = "tools/call"
) -> bytes | None:
    """The key of a call with these arguments (JSON, or raw bytes) and this header."""
    raw = arguments if isinstance(arguments, bytes) else json.dumps(arguments).encode()
    start = b'{"jsonrpc":"2.0","id":1,"method":"%b","params":{"name":"%b","arguments":' % (
        method.encode(),
        tool.encode(),
    )
    body = start + raw + b"}}"
    find = hash_key(LoadBalancerSpec(strategy="consistent_hash", hash_key=f"header:{header}"), lambda: TOOLS)
    assert find is not None
    lines = [(header.lower().encode(), value) for value in values]
    return find(Call(parse_request(body), body, b"", era, 0.0, lines=lines))


@pytest.mark.parametrize(
    ("header", "value", "arguments"),
    [
        ("Mcp-Param-Region", b"eu", {"region": "eu"}),
        ("Mcp-Param-Region", b"=?base64?w6k=?=", {"region": "é"}),
        ("Mcp-Param-Page", b"7", {"region": "eu", "page": 7}),
        ("Mcp-Param-City", b"Rome", {"where": {"city": "Rome"}}),
    ],
)
def test_a_repeated_argument_is_a_key_if_it_equals_the_body(header: str, value: bytes, arguments: Any) -> None:
    assert key_by_param(header, value, arguments=arguments) == value


@pytest.mark.parametrize(
    ("header", "values", "arguments"),
    [
        ("Mcp-Param-Region", [b"eu"], {"region": "us"}),
        ("Mcp-Param-Region", [b"eu"], {}),
        ("Mcp-Param-Region", [b"eu"], {"other": "eu"}),
        ("Mcp-Param-Region", [b"eu"], {"Region": "eu"}),
        ("Mcp-Param-Region", [b"eu"], {"where": {"region": "eu"}}),
        ("Mcp-Param-Region", [b"eu", b"eu"], {"region": "eu"}),
        ("Mcp-Param-Region", [b"eu"], b'{"region":"us","region":"eu"}'),
        ("Mcp-Param-Region", [b"eu"], b'{"region":"eu","Region":"us"}'),
        ("Mcp-Param-Region", [b"eu"], b'{"region":"eu","region\\u0000":"us"}'),
        ("Mcp-Param-Region", [b"eu"], {"region": ["eu"]}),
        ("Mcp-Param-Region", [b"=?base64?ZXU?="], {"region": "eu"}),
        ("Mcp-Param-Region", [b"None"], {"region": None}),
        ("Mcp-Param-Page", [b"7"], {"page": "8"}),
        ("Mcp-Param-City", [b"Rome"], {"where": {"city": "Oslo"}}),
        ("Mcp-Param-City", [b"Rome"], {"where": [{"city": "Rome"}]}),
        ("Mcp-Param-Twice", [b"x"], {"a": "x", "b": "x"}),
        ("Mcp-Param-Unknown", [b"x"], {"unknown": "x"}),
    ],
)
def test_a_header_that_contradicts_the_body_is_never_part_of_the_decision(
    header: str, values: list[bytes], arguments: Any
) -> None:
    assert key_by_param(header, *values, arguments=arguments) is None


def test_a_header_that_was_not_compared_with_the_body_is_no_key() -> None:
    arguments = {"region": "eu"}
    assert key_by_param("Mcp-Param-Region", b"eu", arguments=arguments, tool="plain") is None
    assert key_by_param("Mcp-Param-Region", b"eu", arguments=arguments, tool="made up") is None
    assert key_by_param("Mcp-Param-Region", b"eu", arguments=arguments, method="prompts/get") is None
    for header, value in (("Mcp-Param-Region", b"eu"), ("Mcp-Name", b"search"), ("Mcp-Method", b"tools/call")):
        assert key_by_param(header, value, arguments=arguments) == value
        assert key_by_param(header, value, arguments=arguments, era=Era.LEGACY) is None


def test_a_header_that_came_twice_is_no_key() -> None:
    assert key_by_param("X-Tenant", b"blue", arguments={}) == b"blue"
    assert key_by_param("X-Tenant", b"blue", b"red", arguments={}) is None


@pytest.mark.parametrize("schema", [b'["x-mcp-header"]', b'"x-mcp-header"', b'{"properties":{"x-mcp-header":5}}'])
def test_an_invalid_schema_names_no_argument(schema: bytes) -> None:
    page = b'{"tools":[{"name":"odd","inputSchema":%b}]}' % schema
    (odd,) = msgspec.json.decode(page, type=ToolPage).infos({})
    assert odd.params == {}
