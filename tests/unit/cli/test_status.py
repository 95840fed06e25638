"""The output of `mcppool status` for a feed."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from mcppool.cli.main import main
from mcppool.cli.status import render
from mcppool.observe.status_json import status_body
from mcppool.observe.views import (
    ComponentHealth,
    ConfigView,
    EndpointView,
    EventView,
    LearnedView,
    PoolView,
    RejectedConfig,
)
from tests.servers.scripted import ScriptedServer

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
A, B = "http://127.0.0.1:8001/mcp", "http://127.0.0.1:8002/mcp"


def printed(*pools: PoolView, rejected: RejectedConfig | None = None) -> str:
    """The text for these pools."""
    components = {"balancer": ComponentHealth("healthy", "all endpoints take calls")}
    config = ConfigView(hash="sha256:ab", loaded_at=NOW, rejected=rejected)
    return render(status_body(pools, components, config, {}, NOW))


def test_columns_stand_under_their_heads() -> None:
    text = printed(
        PoolView(
            "search",
            (
                EndpointView(A, True, latency=0.0125, share=0.75, requests=12_345),
                EndpointView(B, False, state="ejected", reason="for another 9 s: HTTP 500", failures=5, score=0.0),
            ),
            retries={"network": 2},
        )
    )
    lines = text.splitlines()
    head = next(line for line in lines if line.startswith("ENDPOINT"))
    first, second = lines[lines.index(head) + 1 : lines.index(head) + 3]
    assert first[head.index("STATE") :].startswith("available")
    assert first[head.index("SHARE") :].startswith("75%")
    assert second[head.index("WHY") :] == "for another 9 s: HTTP 500"
    assert first[: head.index("CALLS") + len("CALLS")].endswith("12345")
    assert "network      2" in text


def test_a_gateway_without_pools_prints_how_to_add_one() -> None:
    assert "Add [[pools]]" in printed()


def test_text_from_outside_cannot_control_the_terminal() -> None:
    evil = "\x1b]0;owned\x07\n\x9b2J"
    text = printed(
        PoolView(
            "p",
            (EndpointView(A, False, state="unreachable", reason=evil),),
            events=(EventView(NOW, A, "connect_failed", evil),),
        ),
        rejected=RejectedConfig((evil,), NOW),
    )
    assert all(character.isprintable() for line in text.split("\n") for character in line)
    assert "?]0;owned" in text


def test_learned_retries_are_a_table() -> None:
    learned = (
        LearnedView("find", "timeout", 2, None, 0.05, 9.0, used=False),
        LearnedView("find", "timeout", None, 0.4, 0.8, 4.0, used=True),
    )
    text = printed(PoolView("p", learned=learned))
    assert "attempt 2" in text
    assert "waiting up to 400.0 ms" in text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "127.0.0.1:9090", "nonsense"])
def test_a_missing_gateway_is_status_2_with_one_line(url: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["status", url]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    assert error.startswith(f"mcppool status: {url}: ")
    assert len(error.splitlines()) == 1


def asked(capsys: pytest.CaptureFixture[str], answer: object, *arguments: str) -> tuple[int, str]:
    """Exit status and last line of a command whose gateway gives this answer."""
    body = json.dumps(answer).encode()
    with ScriptedServer() as server:
        server.script = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
            len(body),
            body,
        )
        status = main([*arguments, server.url])
    output = capsys.readouterr()
    return status, (output.out + output.err).strip().splitlines()[-1]


@pytest.mark.parametrize(
    ("command", "answer"),
    [
        ("status", {"health": {"overall": "healthy", "components": []}}),
        ("status", {"health": "well"}),
        ("status", {"health": {"overall": "healthy", "components": {"a": None}}}),
        ("status", ["health"]),
        ("config", {"hash": "x", "rejected": {"hash": "y"}}),
        ("config", {"hash": "x", "rejected": [1]}),
        ("config", {"hash": "x", "process": {"a": {"value": 1}}}),
        ("config", {"hash": "x", "pools": {"a": 1}}),
        ("config", {"process": {}}),
    ],
)
def test_an_answer_of_another_shape_is_named_as_no_gateways(
    command: str, answer: object, capsys: pytest.CaptureFixture[str]
) -> None:
    status, line = asked(capsys, answer, command)
    assert status == 2
    assert line.startswith(f"mcppool {command}: http://127.0.0.1:")
    assert line.endswith("this is not a gateway's admin port, or not one of this version")


def test_a_setting_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    answer = {"hash": "x", "process": {"\x1b]0;owned\x07": {"value": "\x9b2J\ud800", "origin": "\x1b[2J"}}}
    status, line = asked(capsys, answer, "config")
    assert status == 0
    assert line.isprintable()
