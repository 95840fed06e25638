"""`mcppool call`: what it says of a command line that is wrong."""

from __future__ import annotations

import pytest

from mcppool.cli.main import main


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense", "echo"], "URL: 'nonsense' is not a URL such as http://"),
        (["http://127.0.0.1:1/mcp", "echo", '{"a":'], """ARGUMENTS: '{"a":' is not JSON"""),
        (["http://127.0.0.1:1/mcp", "echo", "[]"], "ARGUMENTS: '[]' is not a JSON object"),
    ],
)
def test_what_is_wrong_is_named(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", *arguments]) == 2
    assert told in capsys.readouterr().err
