"""`mcppool call`: its messages about a wrong command line, and about an address without a server."""

from __future__ import annotations

import json

import pytest

from mcppool.cli.main import main
from tests.servers.scripted import ScriptedServer


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nonsense", "echo"], "URL: 'nonsense' is not a URL such as http://"),
        (["http://u:p@127.0.0.1:1/mcp", "echo"], "without user name"),
        (["http://127.0.0.1:1/mcp", "echo", '{"a":'], """ARGUMENTS: '{"a":' is not a JSON object: Expecting"""),
        (["http://127.0.0.1:1/mcp", "echo", "[]"], "ARGUMENTS: '[]' is not a JSON object: a list in its place"),
        (["http://127.0.0.1:1/mcp", "echo", "[" * 9_000], "is not a JSON object: JSON that is nested too deeply"),
    ],
)
def test_mistakes_are_named(arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", *arguments]) == 2
    assert told in capsys.readouterr().err


@pytest.mark.parametrize("body", [b'{"result": [1]}', b'{"result": null}', b"{}", b"[]", b"[" * 100_000, b"\xff", b""])
@pytest.mark.parametrize("kind", [b"application/json; charset=none", b"text/event-stream", b"text/html"])
def test_a_server_that_does_not_speak_mcp_is_named(
    body: bytes, kind: bytes, capsys: pytest.CaptureFixture[str]
) -> None:
    with ScriptedServer() as server:
        body = b"data: %b\n\n" % body if kind == b"text/event-stream" else body
        head = b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (kind, len(body))
        server.script = head + body
        assert main(["call", server.url, "echo"]) == 1
    assert f"{server.url} is answering, but not as an MCP server" in capsys.readouterr().err


def test_a_program_reads_the_cause_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "http://127.0.0.1:1/mcp", "echo", "-o", "json"]) == 1
    printed = capsys.readouterr()
    error = json.loads(printed.out)
    assert "connection refused" in error["message"]
    assert error["data"]["delivered"] == "no"
    assert error["message"] in printed.err
