from __future__ import annotations

import json

import pytest
from mcp_types.jsonrpc import JSONRPCError

from mcppool.wire.errors import REASONS, Reason, error_body, fault_body


def test_every_reason_is_documented_with_what_a_user_can_do() -> None:
    assert set(REASONS) == set(Reason)
    for info in REASONS.values():
        assert info.meaning.endswith(".")
        assert info.remedy.endswith(".")
        assert info.status in (400, 403, 413, 429, 500, 502, 503, 504)


@pytest.mark.parametrize(("id", "expected"), [(b"1", 1), (b'"a\\u00e9"', "aé"), (None, None), (b"null", None)])
def test_an_error_repeats_the_id_of_its_request(id: bytes | None, expected: object) -> None:
    body = error_body(id, -32601, "no such method", {"x": [1]})
    assert json.loads(body) == {
        "jsonrpc": "2.0",
        "id": expected,
        "error": {"code": -32601, "message": "no such method", "data": {"x": [1]}},
    }
    JSONRPCError.model_validate_json(body)


def test_an_error_without_data_has_no_data_member() -> None:
    assert "data" not in json.loads(error_body(b"1", -32600, "m"))["error"]


def test_a_fault_says_why_what_is_known_of_delivery_and_how_often_it_was_tried() -> None:
    body = fault_body(b"7", Reason.CONNECTION_LOST, "the connection broke", delivered="unknown", attempts=2)
    assert json.loads(body)["error"] == {
        "code": -32603,
        "message": "the connection broke",
        "data": {"reason": "connection_lost", "delivered": "unknown", "attempts": 2},
    }


def test_waiting_times_are_given_in_whole_milliseconds() -> None:
    body = fault_body(b"7", Reason.QUEUE_FULL, "m", delivered="no", attempts=0, retry_after=1.2345)
    assert json.loads(body)["error"]["data"]["retryAfterMs"] == 1234
