from __future__ import annotations

import ast
import json

import pytest
from mcp_types.jsonrpc import JSONRPCError

from mcppool.wire.errors import REASONS, Reason, error_body, fault_body
from tests.requirements import ROOT

SOURCES = [ast.parse(path.read_text()) for path in (ROOT / "dataplane").rglob("*.py") if path.name != "errors.py"]


def test_every_reason_is_documented_with_a_remedy() -> None:
    assert set(REASONS) == set(Reason)
    for info in REASONS.values():
        assert info.meaning.endswith(".")
        assert info.remedy.endswith(".")
        assert info.status in (400, 403, 429, 502, 503, 504)


def given(tree: ast.Module) -> set[str]:
    """The reasons that a module gives to a call: as an argument, as what a function returns, as what a variable holds,
    or as that of a kind of failure. Those that it compares with or looks up in a set are not among them."""
    values: list[ast.expr] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            values += [*node.args, *(keyword.value for keyword in node.keywords)]
        elif isinstance(node, ast.Assign | ast.AnnAssign | ast.Return) and node.value is not None:
            values.append(node.value)
    values += [branch for value in values if isinstance(value, ast.IfExp) for branch in (value.body, value.orelse)]
    return {
        value.attr
        for value in values
        if isinstance(value, ast.Attribute) and isinstance(value.value, ast.Name) and value.value.id == "Reason"
    }


def test_every_reason_is_one_that_some_call_gets() -> None:
    assert set.union(*map(given, SOURCES)) == {reason.name for reason in Reason}


def test_every_kind_of_failure_is_one_that_is_raised_or_has_kinds_of_its_own() -> None:
    kinds = {
        node.name
        for tree in SOURCES
        for node in tree.body
        if isinstance(node, ast.ClassDef) and any(ast.unparse(value).startswith("Reason.") for value in _values(node))
    }
    made = {
        node.func.id
        for tree in SOURCES
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    bases = {
        base.id
        for tree in SOURCES
        for node in tree.body
        if isinstance(node, ast.ClassDef)
        for base in node.bases
        if isinstance(base, ast.Name)
    }
    assert len(kinds) > 10
    assert kinds <= made | bases


def _values(kind: ast.ClassDef) -> list[ast.expr]:
    return [node.value for node in kind.body if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None]


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


def test_a_fault_has_reason_delivery_and_attempts() -> None:
    body = fault_body(b"7", Reason.CONNECTION_LOST, "the connection broke", delivered="unknown", attempts=2)
    assert json.loads(body)["error"] == {
        "code": -32603,
        "message": "the connection broke",
        "data": {"reason": "connection_lost", "delivered": "unknown", "attempts": 2},
    }


def test_waiting_times_are_given_in_whole_milliseconds() -> None:
    body = fault_body(b"7", Reason.QUEUE_FULL, "m", delivered="no", attempts=0, retry_after=1.2345)
    assert json.loads(body)["error"]["data"]["retryAfterMs"] == 1234
