"""Results of servers in the types of the protocol."""

from __future__ import annotations

from typing import Any

import pytest
from mcp_types import CallToolResult, GetPromptResult

from mcppool.client.errors import CallFailed
from mcppool.client.results import typed


@pytest.mark.parametrize(
    ("model", "result", "told"),
    [
        (GetPromptResult, {"messages": "x"}, "messages: Input should be a valid list"),
        (
            GetPromptResult,
            {"messages": [{"role": "user", "content": {"type": "text", "text": "x"}}, 7, 8]},
            "messages[1]: Input should be a valid dictionary or instance of PromptMessage (and 1 more)",
        ),
    ],
)
def test_a_broken_result_is_told_by_its_first_mistake(model: Any, result: dict[str, Any], told: str) -> None:
    with pytest.raises(CallFailed) as failed:
        typed(model, result)
    assert str(failed.value) == f"bad_upstream_answer: a broken result: {told} (delivered: yes; 1 attempt)"


def test_a_broken_result_is_told_in_one_short_line_whatever_is_in_it() -> None:
    content = [{"type": "hologram\n", "secret": "x" * 10_000}, *range(500)]
    with pytest.raises(CallFailed) as failed:
        typed(CallToolResult, {"content": content, "isError": False})
    message = str(failed.value)
    assert "\n" not in message
    assert len(message) < 300
    assert "xxx" not in message
    assert "content[0]" in message
