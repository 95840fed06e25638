"""The log, read back from a real pipe or file."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mcppool.observe import logs
from tests.written_lines import written_lines


@pytest.fixture
def lines(tmp_path: Path) -> Iterator[Any]:
    """Returns the log's lines so far; the log's own settings come back afterwards."""
    path = tmp_path / "log"
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    root = logging.getLogger()
    before = root.level, list(root.handlers)

    def configure(level: logs.Level = "info", format: logs.Format = "json") -> None:
        logs.configure(level, format, descriptor)

    def read() -> list[str]:
        return written_lines(path)

    read.configure = configure  # type: ignore[attr-defined]
    configure()
    yield read
    logs.configure()
    root.setLevel(before[0])
    root.handlers = before[1]
    os.close(descriptor)


def test_an_event_is_one_json_object_with_its_fields_in_order(lines: Any) -> None:
    logs.get_logger("mcppool.test").event(
        "endpoint_ejected", pool="search", endpoint="http://127.0.0.1/mcp", failures=3
    )
    (line,) = lines()
    read = json.loads(line)
    assert list(read) == ["time", "level", "logger", "event", "pool", "endpoint", "failures"]
    assert (read["level"], read["event"], read["failures"]) == ("info", "endpoint_ejected", 3)
    assert read["time"].endswith("Z")
    assert len(read["time"]) == len("2026-01-02T03:04:05.678Z")
    assert datetime.fromisoformat(read["time"]).tzinfo is not None


def test_text_is_one_line_too_whatever_the_fields_hold(lines: Any) -> None:
    lines.configure(format="text")
    logs.get_logger("mcppool.test").event("happened", note="two\nlines", empty="", plain="x", number=1.5, list=[1])
    (line,) = lines()
    assert line.endswith(r'info    mcppool.test: happened note="two\nlines" empty="" plain=x number=1.5 list=[1]')


def test_debug_lines_are_written_only_at_level_debug_and_one_attribute_says_so(lines: Any) -> None:
    log = logs.get_logger("mcppool.test")
    assert not log.debug_enabled
    log.debug("silent")
    lines.configure("debug")
    assert log.debug_enabled
    assert logs.get_logger("mcppool.made_afterwards").debug_enabled
    log.debug("heard")
    assert [json.loads(line)["event"] for line in lines()] == ["heard"]


def test_the_line_of_a_call_has_its_outcome(lines: Any) -> None:
    lines.configure("debug")
    logs.get_logger("mcppool.pipeline").call(
        request_id="7f", pool="search", method="tools/call", tool="find", endpoint="http://127.0.0.1:1/mcp",
        attempts=2, retry_class="safe", status="success", duration=0.01234,
    )  # fmt: skip
    read = json.loads(lines()[0])
    assert (read["event"], read["class"], read["attempts"], read["duration_ms"]) == ("call", "safe", 2, 12.34)


def test_secrets_are_not_written(lines: Any) -> None:
    logs.get_logger("mcppool.test").event(
        "tried",
        Authorization="Basic abc",
        api_key="abc",
        upstream_token="abc",
        url="http://user:abc@127.0.0.1/mcp",
        error=ValueError("got header 'Bearer abc' back"),
    )
    (line,) = lines()
    assert "abc" not in line
    assert "127.0.0.1/mcp" in line


def test_a_field_cannot_take_the_place_of_the_lines_own(lines: Any) -> None:
    logs.get_logger("mcppool.test").event("happened", level="critical", time=1)
    read = json.loads(lines()[0])
    assert (read["level"], read["level_"], read["time_"]) == ("info", "critical", 1)


def test_a_value_that_cannot_be_written_does_not_raise(lines: Any) -> None:
    class Hostile:
        def __str__(self) -> str:
            raise RuntimeError

    log = logs.get_logger("mcppool.test")
    log.event("unwritable", value=Hostile())
    log.event("lone surrogate", value="\ud800")
    assert [json.loads(line)["event"] for line in lines()] == ["lines_dropped", "lone surrogate"]


def test_a_reader_that_stops_reading_does_not_stop_the_gateway() -> None:
    reader, writer = os.pipe()
    try:
        logs.configure(descriptor=writer)
        log = logs.get_logger("mcppool.test")

        def say_much() -> None:
            for number in range(2000):
                log.event("much", number=number, padding="x" * 200)

        saying = threading.Thread(target=say_much, daemon=True)
        saying.start()
        saying.join(30)
        assert not saying.is_alive(), "it waits for its reader"
        text = os.read(reader, 1 << 20)
        log.event("after")
        text += os.read(reader, 1 << 20)
    finally:
        logs.configure()
        os.close(reader)
        os.close(writer)
    read = [json.loads(line) for line in text.decode().splitlines()]
    numbers = [line["number"] for line in read if line["event"] == "much"]
    assert numbers == list(range(len(numbers)))
    assert [line["event"] for line in read[-2:]] == ["lines_dropped", "after"]
    assert read[-2]["lines"] == 2000 - len(numbers)


def test_a_closed_standard_error_does_not_raise() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        logs.configure(descriptor=writer)
        logs.get_logger("mcppool.test").event("unheard")
    finally:
        logs.configure()
        os.close(writer)


def test_records_of_other_libraries_are_lines_of_ours(lines: Any) -> None:
    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("aiohttp.server").exception("while %s", "serving")
    logging.getLogger("aiohttp.server").debug("about itself")
    (line,) = lines()
    read = json.loads(line)
    assert (read["level"], read["logger"], read["message"]) == ("error", "aiohttp.server", "while serving")
    assert "ValueError: broken" in read["exception"]


async def test_an_exception_that_no_code_awaited_is_a_log_line(lines: Any) -> None:
    loop = asyncio.get_running_loop()
    logs.handle_loop_exceptions(loop)

    async def fail() -> None:
        raise ValueError("lost")

    task = asyncio.create_task(fail())
    await asyncio.wait([task])
    del task
    gc.collect()
    loop.set_exception_handler(None)
    (line,) = lines()
    assert json.loads(line)["event"] == "unhandled_exception"
    assert "ValueError: lost" in line


def test_text_from_outside_is_cut_to_the_bound_of_a_line(lines: Any) -> None:
    log = logs.get_logger("mcppool.test")
    huge = "x" * 3_000_000
    log.event("text", request_id=huge)
    log.event("others", error=ValueError(huge), several=[huge] * 3, table={"id": huge, "n": 1}, many=["y"] * 10_000)
    log.event("trace", exception=huge)
    text, others, trace = lines()
    assert len(text) < logs.MAX_FIELD + 200
    assert json.loads(text)["request_id"].endswith("… (3000000 characters)")
    assert len(others) < 6 * (logs.MAX_FIELD + 200)
    assert json.loads(others)["table"]["n"] == 1
    assert len(trace) < logs.MAX_TRACEBACK + 200


def test_a_credential_that_a_cut_goes_through_is_not_written(lines: Any) -> None:
    url = "http://user:" + "s3cret" * 500 + "@server/mcp"
    logs.get_logger("mcppool.test").event("seen", url=url)
    assert "s3cret" not in lines()[0]
