"""Any content of a configuration file, a snapshot or an admin port's answer is read, or refused in words."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from typing import Any

import pytest
from hypothesis import strategies as st

from mcppool.cli.main import main
from mcppool.discovery.intake import Intake
from mcppool.observe.logs import get_logger
from mcppool.spec import ConfigError, Snapshot, read_snapshot, render_snapshot
from mcppool_operator.api import TRANSIENT
from mcppool_operator.gateways import ask, compare, felt_health, new_session
from mcppool_operator.observed import Sync
from tests.fuzz.document_inputs import CONFIG, HEALTH, STATUS, TOML_PARTS, TOMLS, altered, snapshots
from tests.fuzz.pieces import broken, in_chunks
from tests.fuzz.runs import fuzz
from tests.fuzz.server_inputs import lies
from tests.servers.scripted import ScriptedServer


def output_of(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str]:
    """Exit status and all output of the command line."""
    status = main(list(arguments))
    output = capsys.readouterr()
    return status, output.out + output.err


def test_a_broken_file_is_checked_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    def check(text: bytes, options: list[str]) -> None:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text)))
        status, output = output_of(capsys, "check", "-", *options)
        assert status in (0, 1)
        assert output
        assert "Traceback" not in output

    files = broken(st.sampled_from(TOMLS), TOML_PARTS)
    fuzz("files", check, files, st.sampled_from([[], ["--json"], ["--quiet"]]), examples=60, seconds=seconds)


def test_a_broken_snapshot_is_refused_in_words_and_the_one_before_stays(seconds: float) -> None:
    published: list[Snapshot] = []
    refused: list[ConfigError] = []

    def take(text: bytes) -> None:
        intake = Intake(published.append, refused.append, get_logger("fuzz"))
        intake.take(text.decode("utf-8", "replace"), "a test")
        assert len(published) + len(refused) == 1
        for snapshot in published:
            assert read_snapshot(render_snapshot(snapshot)).pools == snapshot.pools
        for error in refused:
            assert error.problems
            assert all(problem.message and "\n" not in str(problem) for problem in error.problems)
            assert len(str(error)) < 100_000
        published.clear()
        refused.clear()

    texts = altered(snapshots()).map(lambda document: json.dumps(document).encode())
    fuzz("snapshots", take, broken(texts, most=1), examples=60, seconds=seconds)


def answers(documents: list[dict[str, Any]]) -> st.SearchStrategy[bytes]:
    """The answer of a server to a request for one of the documents."""

    @st.composite
    def answer(draw: st.DrawFn) -> bytes:
        body = draw(broken(altered(documents).map(lambda document: json.dumps(document).encode()), most=1))
        status = draw(st.sampled_from([200] * 8 + [204, 301, 401, 503, 1000]))
        lines = [b"HTTP/1.1 %d X" % status, b"Content-Type: application/json", b"Connection: close"]
        lines += draw(
            st.lists(st.sampled_from([b"Content-Encoding: gzip", b"Location: /x", b"Set-Cookie: a=b"]), max_size=1)
        )
        if draw(st.booleans()):
            lines.append(b"Transfer-Encoding: chunked")
            body = draw(in_chunks(body))
        else:
            lines.append(b"Content-Length: %d" % len(body))
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    return broken(answer(), most=1)


def test_the_operator_asks_a_pod_that_answers_anything(seconds: float) -> None:
    with ScriptedServer() as server, asyncio.Runner() as runner:

        async def look(answer: bytes) -> None:
            server.script = answer
            try:
                async with asyncio.timeout(30), new_session() as session:
                    read = await ask(session, server.url)
            except TRANSIENT:
                return
            assert isinstance(compare("sha256:1", {"pod": read}), Sync)
            assert felt_health(read, "demo") is None or len(str(felt_health(read, "demo"))) <= 200

        fuzz(
            "operator", lambda answer: runner.run(look(answer)), answers([CONFIG, HEALTH]), examples=25, seconds=seconds
        )


def test_a_call_from_the_command_line_is_answered_with_anything(
    capsys: pytest.CaptureFixture[str], seconds: float
) -> None:
    with ScriptedServer() as server:

        def call(answer: bytes) -> None:
            server.script = answer.replace(b"@ID@", b"1")
            status, output = output_of(capsys, "call", server.url, "read", "--timeout", "1")
            assert status in (0, 1)
            assert output
            assert "Traceback" not in output

        fuzz("call", call, lies("tools/call"), examples=8, seconds=seconds)


@pytest.mark.parametrize("command", ["status", "config"])
def test_the_command_line_asks_a_gateway_that_answers_anything(
    capsys: pytest.CaptureFixture[str], command: str, seconds: float
) -> None:
    with ScriptedServer() as server:

        def look(answer: bytes, options: list[str]) -> None:
            server.script = answer
            status, output = output_of(capsys, command, server.url, *options)
            assert status in (0, 1, 2)
            assert output
            assert "Traceback" not in output

        document = STATUS if command == "status" else CONFIG
        fuzz(command, look, answers([document]), st.sampled_from([[], ["--json"]]), examples=25, seconds=seconds)
