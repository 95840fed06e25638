"""The library's requests, judged by the era rules of the gateway and by the SDK's own functions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mcp.shared.inbound import find_invalid_x_mcp_header, mcp_param_headers, x_mcp_header_map

from mcppool.client.messages import header_value, modern_lines, request_bytes
from mcppool.wire.era import Era, classify
from mcppool.wire.param_headers import param_headers, places_in
from mcppool.wire.rpc_request import parse_request

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}


def headers_of(lines: bytes) -> dict[str, str]:
    pairs = (line.split(": ", 1) for line in lines.decode("ascii").split("\r\n") if line)
    return dict(pairs)


@given(
    st.sampled_from(
        [("tools/call", "name"), ("prompts/get", "name"), ("resources/read", "uri"), ("tools/list", "cursor")]
    ),
    st.text(st.characters(exclude_categories=["Cs"])),
)
def test_whatever_the_name_the_request_is_a_modern_one(method: tuple[str, str], name: str) -> None:
    params = {method[1]: name, "_meta": META}
    lines = modern_lines(method[0], params, {})
    era = classify(headers_of(lines), parse_request(request_bytes(1, method[0], params)))
    assert era is Era.MODERN
    assert lines.count(b"\r\n") == len(headers_of(lines)), "no name can add a line"


@pytest.mark.parametrize("method", ["", "a b", "tools/list\r\nx: y", "tools/lïst"])
def test_an_invalid_method_is_refused(method: str) -> None:
    with pytest.raises(ValueError, match="is not the name of a method"):
        modern_lines(method, {}, {})


def test_a_header_is_found_among_lines() -> None:
    lines = b"Content-Type: a\r\nmcp-session-id:  tok en \r\n"
    assert header_value(lines, b"mcp-session-id") == b"tok en"
    assert header_value(lines, b"absent") is None


def typed(kind: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, **more}


SCHEMA = {
    "type": "object",
    "properties": {
        "region": typed("string", **{"x-mcp-header": "Region"}),
        "limit": typed("integer", **{"x-mcp-header": "Limit"}),
        "dry": typed("boolean", **{"x-mcp-header": "Dry-Run"}),
        "where": typed("object", properties={"zone": typed("string", **{"x-mcp-header": "Zone"})}),
        "rest": typed("string"),
    },
}


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "region": st.none() | st.text(st.characters(exclude_categories=["Cs"])),
            "limit": st.integers(),
            "dry": st.booleans(),
            "where": st.just({}) | st.just({"zone": " a"}) | st.just({"zone": None}) | st.just("no object"),
            "rest": st.text(),
        },
    )
)
def test_arguments_become_headers_as_the_sdk_has_them(arguments: dict[str, Any]) -> None:
    assert find_invalid_x_mcp_header(SCHEMA) is None
    theirs = mcp_param_headers(x_mcp_header_map(SCHEMA), arguments)
    assert param_headers(places_in(SCHEMA), arguments) == {name.lower(): value for name, value in theirs.items()}


@pytest.mark.parametrize(
    "schema", [None, [], {}, {"properties": []}, {"properties": {"a": {"x-mcp-header": "no token"}}}]
)
def test_a_schema_without_usable_annotations_has_no_places(schema: object) -> None:
    assert places_in(schema) == {}


def test_a_deep_schema_is_followed_up_to_a_bound() -> None:
    schema: dict[str, Any] = {"x-mcp-header": "Deep"}
    for _ in range(500):
        schema = {"properties": {"a": schema}}
    assert places_in(schema) == {}
