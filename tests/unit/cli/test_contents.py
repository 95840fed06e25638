"""Results as text for people."""

from __future__ import annotations

from base64 import b64encode, encodebytes

import pytest

from mcppool.cli.contents import prompt_text, resource_text, result_text
from mcppool.cli.progress import Progress
from mcppool.cli.terminal import table


def test_each_block_of_a_result_is_shown() -> None:
    result = {
        "content": [
            {"type": "text", "text": "two\nlines"},
            {"type": "image", "mimeType": "image/png", "data": "AAAA"},
            {"type": "resource_link", "uri": "file:///a"},
            {"type": "resource", "resource": {"uri": "file:///b", "text": "inside"}},
            {"type": "resource", "resource": {"uri": "file:///c", "mimeType": "x/y", "blob": "AAAAAAAA"}},
            "no block",
        ]
    }
    assert result_text(result).splitlines() == [
        "two", "lines", "(image image/png: 3 bytes)", "(resource file:///a)", "inside", "(file:///c x/y: 6 bytes)",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("size", "shown"), [(0, "0 bytes"), (1, "1 byte"), (2, "2 bytes"), (3, "3 bytes"), (256, "256 bytes")]
)
def test_the_size_of_binary_contents_is_that_of_the_bytes(size: int, shown: str) -> None:
    for data in (b64encode(bytes(size)), encodebytes(bytes(size))):
        contents = {"uri": "bin://x", "mimeType": "x/y", "blob": data.decode()}
        assert resource_text({"contents": [contents]}) == f"(bin://x x/y: {shown})"


def test_a_result_without_content_shows_its_structured_content() -> None:
    assert result_text({"content": [], "structuredContent": {"a": 1}}) == '{\n  "a": 1\n}'
    assert result_text({}) == ""


def test_a_prompt_shows_the_role_of_each_message() -> None:
    messages = [{"role": "user", "content": {"type": "text", "text": "Hello"}}, "no message"]
    assert prompt_text({"messages": messages}) == "user:\nHello"


def test_no_text_of_a_server_can_control_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\x9b2J\u202e"
    for text in (
        result_text({"content": [{"type": "text", "text": evil}]}),
        resource_text({"contents": [{"uri": evil, "blob": "A"}, {"text": evil}]}),
        prompt_text({"messages": [{"role": evil, "content": {"type": evil}}]}),
        "\n".join(table(("A",), [(evil,)])),
    ):
        assert all(line.isprintable() for line in text.splitlines())
        assert "owned" in text


def test_progress_is_a_share_where_the_total_is_known() -> None:
    shown = Progress("calling report")
    assert shown.line(80) == "calling report (0 s)"
    shown.report(1, 4, "step 1")
    assert shown.line(80).startswith("25%: step 1 (")
    shown.report(5, 4, None)
    assert shown.line(80).startswith("5 of 4 (")
    shown.report(7, None, "\x1b[2J")
    assert shown.line(80).startswith("7: ?[2J (")
    assert len(shown.line(5)) == 5
