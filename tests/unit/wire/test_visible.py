"""Lists and offers reduced to the objects that a client may use."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mcppool.wire.bulk import BULK, Bulk, read_in_slices
from mcppool.wire.errors import BadEnvelope
from mcppool.wire.visible import LISTS, MAX_FILTERED, visible_list, visible_offer


def answer(**result: Any) -> bytes:
    """An answer with this result."""
    return json.dumps({"jsonrpc": "2.0", "id": 7, "result": result, "extra": [1.0]}).encode()


def shown(body: bytes) -> Any:
    """The result in it."""
    message = json.loads(body)
    assert (message["id"], message["extra"]) == (7, [1.0])
    return message["result"]


@pytest.mark.parametrize("method", LISTS)
def test_only_what_may_be_used_is_listed_and_all_else_stays_as_it_is(method: str) -> None:
    member, key, kind = LISTS[method]
    items = [{key: "one", "x": 1e3}, {"y": None, key: "two"}, {key: "thr\u00e9e"}]
    body = answer(nextCursor="c", **{member: items}, _meta={"a": 1}, ttlMs=5)
    result = shown(visible_list(body, method, lambda k, name: k == kind and name != "two"))
    assert result == {"nextCursor": "c", member: [items[0], items[2]], "_meta": {"a": 1}, "ttlMs": 5}
    assert visible_list(body, method, lambda _k, _n: True) is body


@given(st.lists(st.text(max_size=8), max_size=8), st.sets(st.text(max_size=8), max_size=4))
def test_names_of_any_kind_are_compared_as_the_client_reads_them(names: list[str], hidden: set[str]) -> None:
    body = answer(tools=[{"name": name} for name in names])
    result = shown(visible_list(body, "tools/list", lambda _, name: name not in hidden))
    assert [tool["name"] for tool in result["tools"]] == [name for name in names if name not in hidden]


@pytest.mark.parametrize(
    "item", ["{}", "3", "null", '{"name":3}', '{"name":"a","name":"b"}', '{"Name":"a"}', '{"name":null}', "[]"]
)
def test_an_item_without_a_clear_name_is_left_out(item: str) -> None:
    body = b'{"jsonrpc":"2.0","id":7,"result":{"tools":[%b,{"name":"a"}]},"extra":[1.0]}' % item.encode()
    assert shown(visible_list(body, "tools/list", lambda _, name: name == "a"))["tools"] == [{"name": "a"}]


def test_a_list_of_which_something_depends_on_the_client_is_private() -> None:
    assert shown(visible_list(answer(tools=[], cacheScope="public"), "tools/list", lambda _k, _n: True)) == {
        "tools": [],
        "cacheScope": "private",
    }


@pytest.mark.parametrize(
    "result", ['{"tools":[],"tools":[{"name":"secret"}]}', '{"tools":[{"name":"secret"}],"tools":[]}']
)
def test_a_list_that_readers_understand_differently_is_not_shown(result: str) -> None:
    with pytest.raises(BadEnvelope):
        visible_list(b'{"jsonrpc":"2.0","id":1,"result":%b}' % result.encode(), "tools/list", lambda _k, _n: False)


def test_an_invalid_list_is_empty() -> None:
    assert shown(visible_list(answer(tools={"secret": 1}), "tools/list", lambda _k, _n: False)) == {"tools": []}


def test_halves_of_surrogate_pairs_do_not_hide_a_name() -> None:
    body = b'{"jsonrpc":"2.0","id":7,"result":{"tools":[{"name":"a","x":"\\ud83d"},{"name":"b\\ud83d"}]},"extra":[1.0]}'
    result = shown(visible_list(body, "tools/list", lambda _, name: name == "a"))
    assert result["tools"] == [{"name": "a", "x": "\ufffd"}]


def test_a_list_that_is_too_long_to_be_filtered_is_not_shown() -> None:
    with pytest.raises(BadEnvelope, match="more than"):
        visible_list(answer(tools=[{"name": "x" * MAX_FILTERED}]), "tools/list", lambda _k, _n: False)


@pytest.mark.parametrize("sliced", [False, True])
def test_a_large_list_is_shortened_like_any_other(sliced: bool) -> None:
    tools = [{"name": f"tool-{n}", "description": "x" * 1000} for n in range(2000)]
    body = answer(tools=tools, nextCursor="c")
    assert len(body) > BULK
    document = body
    if sliced:
        document = Bulk(body)
        for _ in read_in_slices(document):
            pass
    result = shown(visible_list(document, "tools/list", lambda _, name: name.endswith("7")))
    assert result == {"tools": [tool for tool in tools if tool["name"].endswith("7")], "nextCursor": "c"}


def test_an_answer_without_a_result_is_left_alone() -> None:
    body = b'{"jsonrpc":"2.0","id":1,"error":{"code":1,"message":""}}'
    assert visible_list(body, "tools/list", lambda _k, _n: False) is body


OFFER = {"capabilities": {"tools": {"listChanged": True}, "prompts": {}, "logging": {}}, "instructions": "Use exec-it."}


def test_an_offer_has_the_capabilities_that_the_client_may_use() -> None:
    result = shown(visible_offer(answer(**OFFER), lambda kind: kind != "tool", []))
    assert result == {**OFFER, "capabilities": {"prompts": {}, "logging": {}}}


@pytest.mark.parametrize(
    ("hidden", "stays"), [(["exec-it"], False), (["EXEC-IT"], False), (["exec"], True), (["a b"], True), ([], True)]
)
def test_instructions_that_name_a_hidden_tool_are_left_out(hidden: list[str], stays: bool) -> None:
    assert ("instructions" in shown(visible_offer(answer(**OFFER), lambda _: True, hidden))) == stays


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.sampled_from(["secret", "a", "public"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["tools", "name", "Name", "capabilities", "instructions", "cacheScope", "x"]),
            inner,
            max_size=3,
        )
    ),
    max_leaves=12,
)


@given(JUNK)
def test_no_result_of_any_form_shows_a_hidden_tool_or_is_no_json(result: object) -> None:
    body = answer() if not isinstance(result, dict) else answer(**result)
    listed = shown(visible_list(body, "tools/list", lambda _, name: name != "secret"))
    items = listed.get("tools", [])
    assert not isinstance(items, list) or all(not isinstance(i, dict) or i.get("name") != "secret" for i in items)
    offered = shown(visible_offer(body, lambda _: False, ["secret"]))
    if isinstance(offered.get("capabilities"), dict):
        assert "tools" not in offered["capabilities"]
    assert "secret" not in str(offered.get("instructions", "")) or not isinstance(offered["instructions"], str)
