"""The output of `mcppool status` for a feed."""

from __future__ import annotations

import io
import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from mcppool.cli.main import main
from mcppool.cli.status import render, wants_colour
from mcppool.cli.status_tables import SHOWN
from mcppool.cli.status_text import StatusText
from mcppool.observe.status_json import status_body
from mcppool.observe.views import (
    ComponentHealth,
    ConfigView,
    EndpointView,
    EventView,
    LearnedView,
    LossView,
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


PAST: dict[str, Any] = {
    "covered": 600.0,
    "pools": [
        {
            "name": "search",
            "summary": {
                "calls": 600, "failed": 30, "eras": {"modern": 30, "legacy": 10}, "p50": 0.012, "p99": 2.5,
            },
            "series": {"calls": [0, 10, 20], "failed": [0, 0, 20], "p50": [None, 0.01, 0.02], "p99": [None, 1.0, 2.0]},
            "tools": [
                {
                    "name": name,
                    "summary": {
                        "toolCalls": 300, "errors": errors, "rejected": 0, "retries": 7, "cacheHits": 1,
                        "cacheMisses": 3, "p50": 0.01, "p99": None, "reasons": {"timeout": errors} if errors else {},
                    },
                    "series": {"calls": [0, 1, 2], "breaker": [0, 0, breaker]},
                }
                for name, errors, breaker in (("well", 0, 0), ("failing", 9, 0), ("broken", 1, 2))
            ],
            "endpoints": [{"url": A, "series": {"attempts": [1, 2, 8]}}],
        }
    ],
}  # fmt: skip


def test_a_history_that_has_just_begun_tells_its_seconds_and_one_thing_is_no_plural() -> None:
    pool = PoolView("search", (EndpointView(A, True),), sessions=1, catalog_tools=1)
    lines = StatusText().render(status_body([pool], {}, ConfigView(), {}, NOW), {**PAST, "covered": 34.2}).splitlines()
    assert any(line.startswith("last 34 s; ") for line in lines)
    assert any(", 1 session, 0 waiting, 1 tool, " in line for line in lines)


@pytest.mark.parametrize(("failed", "words"), [(0, "0%"), (1, "0.2%"), (6, "1%"), (30, "5%")])
def test_a_share_that_is_little_is_not_shown_as_none(failed: int, words: str) -> None:
    past = {**PAST, "pools": [{**PAST["pools"][0], "summary": {**PAST["pools"][0]["summary"], "failed": failed}}]}
    body = status_body([PoolView("search", (EndpointView(A, True),))], {}, ConfigView(), {}, NOW)
    assert f" {words} of 600 calls failed" in StatusText().render(body, past)


def test_ten_minutes_are_lines_of_bars_and_the_worst_tool_comes_first() -> None:
    body = status_body([PoolView("search", (EndpointView(A, True),))], {}, ConfigView(), {}, NOW)
    lines = StatusText().render(body, PAST).splitlines()
    assert "last 10 minutes; 75% of the requests come from modern clients" in lines
    assert next(line for line in lines if line.startswith("  calls")).split() == ["calls", "▁▅█", "1.0", "calls/s"]
    assert any("99 % within 2.5 s" in line for line in lines)
    tools = lines[lines.index("tools") + 2 :][:3]
    assert [line.split()[0] for line in tools] == ["broken", "failing", "well"]
    assert "9 timeout" in tools[1]
    assert "25%" in tools[2]


def test_states_have_colours_only_where_they_are_wanted() -> None:
    body = status_body([PoolView("search", (EndpointView(A, False, state="ejected"),))], {}, ConfigView(), {}, NOW)
    plain, coloured = (StatusText(colour=colour).render(body, PAST) for colour in (False, True))
    assert "\x1b" not in plain
    assert "\x1b[31mejected" in coloured
    assert re.sub("\x1b\\[[0-9]+m", "", coloured).split() == plain.split()


@pytest.mark.parametrize(
    ("terminal", "variables", "wanted"),
    [
        (True, {}, True),
        (True, {"NO_COLOR": ""}, True),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"TERM": "dumb"}, False),
        (False, {}, False),
    ],
)
def test_no_color_and_a_pipe_switch_colours_off(
    terminal: bool, variables: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    stream = io.StringIO()
    monkeypatch.setattr(stream, "isatty", lambda: terminal)
    assert wants_colour(stream) is wanted


def test_a_large_pool_ends_early_with_its_problems_first() -> None:
    many = [EndpointView(f"{A}/{n}", n != 77, state="hung" if n == 77 else "available") for n in range(100)]
    body = status_body([PoolView("search", tuple(many))], {}, ConfigView(), {}, NOW)
    lines = StatusText().render(body).splitlines()
    head = next(number for number, line in enumerate(lines) if line.startswith("ENDPOINT"))
    assert lines[head + 1].startswith(f"{A}/77 ")
    assert f"and {100 - SHOWN} more; --all shows them" in lines
    assert f"{A}/99" in StatusText(everything=True).render(body)


def test_of_many_pools_those_with_problems_come_first() -> None:
    pools = [PoolView(f"p{number}", ()) for number in range(30)]
    components = {f"pool p{number}": ComponentHealth("healthy", "1 server takes calls") for number in range(30)}
    components["pool p29"] = ComponentHealth("unhealthy", "no server takes calls")
    feed = status_body(pools, components, ConfigView(hash="sha256:ab", loaded_at=NOW, rejected=None), {}, NOW)
    lines = render(feed).splitlines()
    table = lines[lines.index(next(line for line in lines if line.startswith("COMPONENT"))) :]
    assert table[1].startswith("pool p29")
    assert table[1 + SHOWN] == "and 10 more; --all shows them"
    assert next(line for line in lines if line.startswith("POOL")).startswith("POOL p29:")


def test_problems_come_before_everything_else() -> None:
    loss = LossView("timeout", NOW, NOW, 3, 9, "find\x1b[2J", A, "late")
    body = status_body([PoolView("search", losses=(loss,))], {}, ConfigView(), {}, NOW)
    body["at"] = "2026-01-02T03:06:05.000Z"
    found = [
        {"severity": "failing", "pool": "search", "name": "find\x1b[2J", "what": "3 lost", "since": body["startedAt"]}
    ]
    lines = StatusText().render({**body, "problems": found}).splitlines()
    assert lines[2] == "● search find?[2J: 3 lost  since 03:04:05 UTC, 2 min"
    row = next(line for line in lines if line.startswith("timeout"))
    assert "03:04:05 UTC, 2 min" in row
    assert "\x1b" not in "".join(lines)
