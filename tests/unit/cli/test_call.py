"""`mcppool call`: its messages about a wrong command line, and about an address without a server."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mcppool.cli.main import main
from mcppool.client import requests
from tests.servers.scripted import ScriptedServer

NO_SESSION = "opening no session (initialize was answered with HTTP"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A call fails with the first check of its server, in place of the seconds that it gives a server to come back."""
    monkeypatch.setattr(requests, "UNREACHABLE", 0.0)


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


@pytest.mark.usefixtures("impatient")
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


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize(
    ("status", "error", "told"),
    [
        (
            "200 OK",
            {"code": -32603, "message": "no\n replica\x1b[2J"},
            f"{NO_SESSION} 200 and error -32603: no replica[2J)",
        ),
        ("503 No", {"code": -32000, "message": [1]}, f"{NO_SESSION} 503 and error -32000)"),
        ("200 OK", {"code": -32601, "message": "no"}, "not as an MCP server"),
        ("200 OK", {"code": "x"}, "not as an MCP server"),
        ("404 No", {"code": -32600, "message": "no"}, "not as an MCP server"),
    ],
    ids=["a gateway without servers", "without a message", "another protocol", "no error", "a wrong path"],
)
def test_a_server_that_opens_no_session_says_why(
    status: str, error: dict[str, Any], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    body = json.dumps({"jsonrpc": "2.0", "id": None, "error": error}).encode()
    with ScriptedServer() as server:
        head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        server.script = head.encode() + body
        assert main(["call", server.url, "echo"]) == 1
    assert f"{server.url} is answering, but {told}" in capsys.readouterr().err


def test_a_program_reads_the_cause_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["call", "http://127.0.0.1:1/mcp", "echo", "-o", "json"]) == 1
    printed = capsys.readouterr()
    error = json.loads(printed.out)
    assert "connection refused" in error["message"]
    assert error["data"]["delivered"] == "no"
    assert error["message"] in printed.err
