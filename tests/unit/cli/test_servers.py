"""Mistakes in the arguments of commands that talk to a server."""

from __future__ import annotations

import pytest

from mcppool.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("tools",), "URL is missing"),
        (("ping", "nonsense"), "URL: 'nonsense' is not a URL such as http://"),
        (("tools", "http://a/mcp", "--pool", "x"), "--pool is not for a URL"),
        (("tools", "http://a/mcp", "--header", "nonsense"), "--header: 'nonsense' is not NAME: VALUE"),
        (("tools", "http://a/mcp", "--header", "Host: x"), "--header Host: "),
        (("ping", "http://a/mcp", "--token-file", "/none"), "--token-file: "),
        (("call", "http://a/mcp"), "TOOL is missing"),
        (("call", "http://a/mcp", "x", "--json", "[]"), "--json: '[]' is not a JSON object"),
        (("prompts", "http://127.0.0.1:1/mcp", "x", "nonsense"), "ARGUMENT=TEXT: 'nonsense' is not"),
    ],
)
def test_a_mistake_is_named(arguments: tuple[str, ...], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert told in printed.err


def test_a_program_that_does_not_start_is_named_as_it_was_given(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ping", "-o", "json", "--", "mcppool-no-such-program", "--flag"]) == 1
    printed = capsys.readouterr()
    told = "mcppool-no-such-program --flag is a program that does not start"
    assert told in printed.err
    assert told in printed.out
