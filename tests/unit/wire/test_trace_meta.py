"""The trace context in a message: read and put there without a change of any other byte."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.wire.bulk import BULK, Bulk, finish, read_in_slices
from mcppool.wire.trace_meta import large_with_trace_meta, read_trace_meta, with_trace_meta

OURS = {"traceparent": "00-a-b-01", "tracestate": "v=1"}
BAGGAGE = {"baggage": "k=v"}

MEMBERS = st.sampled_from(["traceparent", "tracestate", "baggage", "_meta", "params", "x", "é", '"', "\\"])
LEAVES = st.none() | st.integers() | st.text(max_size=5) | MEMBERS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(MEMBERS, inner, max_size=4), max_leaves=12
)
TEXTS = st.text(max_size=3)
METAS = st.dictionaries(MEMBERS, VALUES, max_size=4)
MESSAGES = st.fixed_dictionaries(
    {"jsonrpc": st.just("2.0"), "method": st.just("tools/call")},
    optional={
        "id": st.integers(),
        "params": st.fixed_dictionaries(
            {}, optional={"_meta": METAS, "arguments": VALUES, "name": st.text(max_size=3)}
        ),
    },
)
WRITERS: list[Any] = [
    lambda message: json.dumps(message),
    lambda message: json.dumps(message, separators=(",", ":"), ensure_ascii=False),
    lambda message: json.dumps(message, indent=2),
    lambda message: "\ufeff" + json.dumps(message),
    lambda message: json.dumps(message).replace("_meta", "\\u005fmeta"),
]


def expected(message: dict[str, Any]) -> dict[str, Any]:
    params = message.get("params", {})
    return {**message, "params": {**params, "_meta": {**BAGGAGE, **params.get("_meta", {}), **OURS}}}


@given(MESSAGES, st.sampled_from(WRITERS))
def test_the_context_is_put_into_meta_and_all_else_stays(message: dict[str, Any], write: Any) -> None:
    body = write(message).encode("utf-8", "surrogatepass")
    changed = with_trace_meta(body, OURS, BAGGAGE)
    assert json.loads(changed.decode("utf-8-sig", "surrogatepass")) == expected(json.loads(json.dumps(message)))


@given(MESSAGES)
def test_what_was_put_there_is_read_again(message: dict[str, Any]) -> None:
    assert read_trace_meta(with_trace_meta(json.dumps(message).encode(), OURS, {})) == tuple(OURS.values())


@pytest.mark.parametrize(
    "message", [b'{"params":[1]}', b'{"params":null}', b'{"params":{"_meta":7}}', b"{", b'{"params":{"_meta":{']
)
def test_a_message_without_a_place_for_it_stays_unchanged(message: bytes) -> None:
    assert with_trace_meta(message, OURS, BAGGAGE) == message


def test_a_context_elsewhere_in_the_message_is_none() -> None:
    for message in ({"params": {"arguments": OURS}}, {"params": {"name": '"traceparent"'}}, {"traceparent": "x"}):
        assert read_trace_meta(json.dumps(message).encode()) == ("", "")


@pytest.mark.parametrize("meta", [None, {}, {"traceparent": "old", "z": [1]}, {"tracestate": "t" * 2000}])
@pytest.mark.parametrize("order", [1, -1])
def test_a_large_message_gets_it_too(meta: Any, order: int) -> None:
    members = [("arguments", {"blob": "x" * (BULK + 5)}), ("name", "a")] + ([] if meta is None else [("_meta", meta)])
    message = {"jsonrpc": "2.0", "id": 1, "params": dict(members[::order])}
    body = Bulk(json.dumps(message).encode())
    finish(read_in_slices(body))
    before = bytes(body)
    changed = finish(large_with_trace_meta(body, OURS, BAGGAGE))
    assert json.loads(bytes(changed)) == expected(message)
    assert bytes(body) == before  # other attempts send it
    assert read_trace_meta(changed) == tuple(OURS.values())
