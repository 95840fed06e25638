"""The scenes of the benchmark, and the answers of its upstream."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench import answers, client, upstream
from bench.scenes import QUICK, SCENES, named
from mcppool.wire.sse import EventParser

RESULT = b'{"content":[],"isError":false}'


def test_each_scene_has_a_name_of_its_own_and_is_compared_with_one_before_it() -> None:
    seen: list[str] = []
    for scene in SCENES:
        assert scene.name not in seen
        assert scene.beside in ("", *seen)
        assert scene.aims.beside is None or scene.beside
        seen.append(scene.name)


def test_the_scenes_cover_what_clients_send_and_servers_answer() -> None:
    assert {scene.answer for scene in SCENES} == {"json", "uvicorn", "node", "progress"}
    assert {scene.ids for scene in SCENES} == {"distinct", "equal", "counted"}
    assert {scene.heads for scene in SCENES} == {"repeating", "varying"}
    assert {scene.era for scene in SCENES} == {"modern", "legacy"}
    assert {scene.clients for scene in SCENES} >= {1, 32, 256, 1024}
    assert {scene.size for scene in SCENES} == {0, 2**16, 2**20}


def test_a_quick_run_has_scenes_that_exist() -> None:
    assert [scene.name for scene in named(QUICK)] == list(QUICK)


def test_the_load_generator_gets_the_sessions_of_legacy_clients() -> None:
    (scene,) = named(["everyday"])
    assert "sessions=/tmp/x" in scene.load(Path("/tmp/x"))
    assert {"era=legacy", "tool=echo_uvicorn", "ids=counted", "clients=32"} <= set(scene.load(None))


def unchunked(body: bytes) -> bytes:
    """The content of a chunked body, which must be whole."""
    content = b""
    while True:
        length, _, body = body.partition(b"\r\n")
        size = int(length, 16)
        content, body = content + body[:size], body[size:]
        assert body.startswith(b"\r\n")
        body = body[2:]
        if not size:
            assert not body
            return content


@pytest.mark.parametrize("tool", ["echo_uvicorn", "echo_node", "echo_progress"])
def test_an_event_stream_is_whole_and_ends_with_the_answer(tool: str) -> None:
    head, _, body = b"".join(answers.FORMS[tool](b"7", RESULT, b'"token"')).partition(b"\r\n\r\n")
    assert b"text/event-stream" in head
    events = [json.loads(event.data) for event in EventParser().feed(unchunked(body))]
    assert events[-1] == {"jsonrpc": "2.0", "id": 7, "result": json.loads(RESULT)}
    progress = [event["params"] for event in events[:-1]]
    assert [each["progress"] for each in progress] == ([1, 2] if tool == "echo_progress" else [])
    assert all(each["progressToken"] == "token" for each in progress)


def test_progress_is_told_only_to_clients_that_ask_for_it() -> None:
    assert answers.progress_parts(b"7", RESULT, b"") == answers.uvicorn_parts(b"7", RESULT, b"")


@pytest.mark.parametrize("size", [2, 3, 49, 1000, 2**16, 2**20])
def test_a_filler_is_a_json_string_of_its_size(size: int) -> None:
    assert len(answers.filler(size)) == size
    assert isinstance(json.loads(answers.filler(size)), str)


def test_a_large_answer_has_its_text_first() -> None:
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call",'
        b'"params":{"name":"echo","arguments":{"text":"hello","size":1000}}}'
    )
    (answer,) = upstream.post(b"post /mcp http/1.1\r\n", body)
    content = json.loads(answer.partition(b"\r\n\r\n")[2])["result"]["content"]
    assert content[0]["text"] == "hello"
    assert content[1]["text"] == json.loads(answers.filler(1000))


def test_the_checking_client_reads_the_messages_of_json_and_of_event_streams() -> None:
    assert client.messages("application/json", b'{"id":1}') == [{"id": 1}]
    assert client.messages("application/json", b"") == []
    assert client.messages("text/html", b"x") == []
    stream = b': comment\r\nid: 1\r\ndata: \r\n\r\nevent: message\r\ndata: {"id":1}\r\n\r\ndata:{"id":2}\n\n'
    assert client.messages("text/event-stream", stream) == [{"id": 1}, {"id": 2}]
