"""Members that are stored or repeated have bounds; members that are only passed on have none of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcppool.wire.member_sizes import MAX_ID, MAX_METHOD, MAX_NAME, SMALL, oversized, repeatable_id
from mcppool.wire.rpc_request import parse_request


def message(**members: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", **members}).encode()


LARGE = {
    "id": message(id="x" * MAX_ID),
    "method": message(method="x" * (MAX_METHOD + 1)),
    "name": message(params={"name": "x" * (MAX_NAME + 1)}),
    "progressToken": message(params={"name": "a", "_meta": {"progressToken": "x" * 2000}}),
}


@pytest.mark.parametrize("member", LARGE)
def test_a_member_over_its_bound_is_named(member: str) -> None:
    parsed = parse_request(LARGE[member])
    problem = oversized(parsed)
    assert problem is not None
    assert member in problem
    assert "allowed" in problem
    assert repeatable_id(parsed) == (None if member == "id" else b"1")


def test_members_within_their_bounds_pass() -> None:
    fine = message(id="x" * (MAX_ID - 2), params={"name": "x" * MAX_NAME, "arguments": {"text": "x" * 1_000_000}})
    assert oversized(parse_request(fine)) is None


@pytest.mark.parametrize("member", LARGE)
def test_a_message_that_is_not_looked_at_has_no_such_member(member: str) -> None:
    assert len(LARGE[member]) > SMALL or member == "method"
