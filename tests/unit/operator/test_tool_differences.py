from __future__ import annotations

from typing import Any

import pytest

from mcppool_operator.tool_differences import ToolReport, tool_report

A, B = "http://10.0.0.1:8000/mcp", "http://10.0.0.2:8000/mcp"


def load(differ: Any, *examples: Any, changed: Any = ()) -> dict[str, Any]:
    return {"tools": {"search": {"differ": differ, "examples": list(examples), "changed": changed}}}


def message(answer: dict[str, Any], pods: dict[str, str] | None = None) -> str:
    report = tool_report("search", [answer])
    assert report is not None
    return report.message(pods or {})


def example(tool: str, endpoint: str = B, kind: str = "missing") -> dict[str, str]:
    return {"tool": tool, "endpoint": endpoint, "kind": kind}


def test_the_gateway_that_reports_the_most_is_believed() -> None:
    assert tool_report("search", [load(0), load(1, example("add"))]) == ToolReport(1, (example("add"),), ())
    assert tool_report("search", [load(0)]) is None
    assert tool_report("other", [load(1, example("add"))]) is None


@pytest.mark.parametrize("answer", [{}, {"tools": 1}, {"tools": {"search": []}}, load("2"), load(-1), load(None)])
def test_an_answer_of_another_form_says_nothing(answer: dict[str, Any]) -> None:
    assert tool_report("search", [answer]) is None


def test_the_message_names_tools_replicas_and_pods() -> None:
    answer = load(3, example("add"), example("mul", A, "definition"), example("sub", A, "extra"))
    assert message(answer, {B: "tools-b"}) == (
        f'3 tools differ between replicas: "add" is not listed by {B} (tools-b); '
        f'"mul" has another definition at {A}; "sub" is listed by {A} alone'
    )


def test_tools_that_differ_from_their_pins_are_named() -> None:
    changed = ["a", "b", "c", "d"]
    report = tool_report("search", [load(0, changed=changed)])
    assert report is not None
    assert (report.reason, report.message({})) == (
        "NotAsPinned",
        '4 tools differ from their pins: "a", "b", "c" and 1 more',
    )
    assert message(load(1, example("add"), changed=["a"])) == (
        f'1 tool differs between replicas: "add" is not listed by {B}; 1 tool differs from its pin: "a"'
    )


def test_a_long_report_is_cut() -> None:
    examples = [example(f"{number}{'x' * 1000}", "y" * 10_000) for number in range(1000)]
    text = message(load(1000, *examples))
    assert text.endswith("; and 997 more")
    assert len(text) < 1024


@pytest.mark.parametrize("broken", [None, 1, {}, {"kind": ["missing"]}, {"kind": "unknown"}])
def test_a_broken_example_is_left_out(broken: Any) -> None:
    assert message(load(1, broken)) == "1 tool differs between replicas"
