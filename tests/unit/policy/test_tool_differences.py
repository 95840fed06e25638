from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mcppool.policy.tool_differences import MAX_EXAMPLES, NO_DIFFERENCES, ToolDifference, tool_differences

A, B, C = "http://a/mcp", "http://b/mcp", "http://c/mcp"


def test_replicas_with_the_same_tools_agree() -> None:
    tools = {"add": "1", "mul": "2"}
    assert tool_differences([]) == NO_DIFFERENCES
    assert tool_differences([(A, tools)]) == NO_DIFFERENCES
    assert tool_differences([(A, tools), (B, dict(reversed(tools.items()))), (C, tools)]) == NO_DIFFERENCES


def test_the_replica_that_lacks_a_tool_is_named() -> None:
    found = tool_differences([(A, {"add": "1"}), (B, {}), (C, {"add": "1"})])
    assert found == (1, (ToolDifference("add", B, "missing"),))


def test_the_replica_that_alone_has_a_tool_is_named() -> None:
    found = tool_differences([(A, {}), (B, {}), (C, {"add": "1"})])
    assert found == (1, (ToolDifference("add", C, "extra"),))


def test_the_replica_with_another_definition_is_named() -> None:
    found = tool_differences([(A, {"add": "other"}), (B, {"add": "1"}), (C, {"add": "1"})])
    assert found == (1, (ToolDifference("add", A, "definition"),))


def test_all_differences_are_counted_and_the_first_ones_described() -> None:
    found = tool_differences([(A, {f"tool-{number:02}": "1" for number in range(20)}), (B, {})])
    assert found.total == 20
    assert [example.tool for example in found.examples] == [f"tool-{number:02}" for number in range(MAX_EXAMPLES)]


OFFERS = st.lists(st.dictionaries(st.sampled_from("abc"), st.sampled_from("123")), max_size=4)


@given(OFFERS)
def test_tools_differ_exactly_where_two_replicas_do(offers: list[dict[str, str]]) -> None:
    named = [(str(number), offer) for number, offer in enumerate(offers)]
    differing = {tool for tool in "abc" if len({offer.get(tool) for offer in offers}) > 1}
    found = tool_differences(named)
    assert found.total == len(differing)
    assert {example.tool for example in found.examples} == differing
    for tool, endpoint, kind in found.examples:
        here = offers[int(endpoint)]
        assert (tool in here) == (kind != "missing")
        assert any(offer.get(tool) != here.get(tool) for offer in offers)
