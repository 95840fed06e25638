"""The writer of an audit log: bounded, in order, rotated, and honest about what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from mcppool.observe import audit, audit_sinks
from mcppool.observe.audit import AuditLog, AuditLogs
from mcppool.spec.sections.audit import AuditSpec
from tests.waiting import until
from tests.written_lines import written_json


def spec(path: Path, **more: Any) -> AuditSpec:
    return AuditSpec.model_validate({"type": "file", "file": str(path), **more})


def lines(path: Path) -> list[Any]:
    return written_json(path)


def last_of(path: Path) -> int | None:
    """The number of the last line; None while there is none, or a part of one."""
    text = path.read_bytes() if path.exists() else b""
    return int(json.loads(text.splitlines()[-1])["n"]) if text.endswith(b"\n") else None


def numbered(number: int, size: int = 0) -> bytes:
    return json.dumps({"n": number, "x": "x" * size}).encode()


class Gate:
    """Holds writes up until it is opened, or has them fail."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened = threading.Event()
        self.reached = threading.Event()
        self.error: OSError | None = None
        monkeypatch.setattr(audit_sinks, "write_all", self._gated)

    def _gated(self, descriptor: int, data: bytes) -> None:
        self.reached.set()
        if self.error is not None:
            raise self.error
        assert self.opened.wait(30)
        os.write(descriptor, data)


def test_lines_are_written_in_order_to_a_file_that_nobody_else_may_read(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(spec(path))
    for number in range(200):
        assert log.write(numbered(number))
    log.close()
    assert [line["n"] for line in lines(path)] == list(range(200))
    assert path.stat().st_mode & 0o777 == 0o600


async def test_lines_without_room_are_dropped_and_counted_in_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = Gate(monkeypatch)
    path = tmp_path / "audit.jsonl"
    log = AuditLog(spec(path, buffer="64KiB"))
    written = [log.write(numbered(number, 1000)) for number in range(100)]
    assert log.full or not written[-1]
    kept = sum(written)
    assert 60 <= kept < 100
    assert log.write(numbered(1000, 1000), reserve=True)  # of a call that had begun
    gate.opened.set()
    log.close()
    found = lines(path)
    assert [line["n"] for line in found if "n" in line] == [*range(kept), 1000]
    assert sum(line["lines"] for line in found if line.get("event") == "lines_dropped") == 100 - kept
    assert not log.full


async def test_a_disk_that_fails_costs_no_line_and_writes_none_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "RETRY_AFTER", 0.01)
    gate = Gate(monkeypatch)
    gate.error = OSError("no space left on device")
    path = tmp_path / "audit.jsonl"
    log = AuditLog(spec(path))
    for number in range(10):
        assert log.write(numbered(number))
    await until(gate.reached.is_set, "a write was tried")
    gate.opened.set()
    gate.error = None
    await until(lambda: path.exists() and len(lines(path)) == 10, "the lines are there")
    log.close()
    assert [line["n"] for line in lines(path)] == list(range(10))


async def test_half_a_line_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "RETRY_AFTER", 0.01)
    failing = [True]

    def half(descriptor: int, data: bytes) -> None:
        if failing:
            failing.clear()
            os.write(descriptor, data[:5])
            raise OSError("no space left on device")
        os.write(descriptor, data)

    monkeypatch.setattr(audit_sinks, "write_all", half)
    path = tmp_path / "audit.jsonl"
    log = AuditLog(spec(path))
    log.write(numbered(1))
    await until(lambda: not failing and path.read_bytes().endswith(b"\n"), "the line is there")
    log.close()
    assert [line["n"] for line in lines(path)] == [1]


async def test_a_full_file_is_renamed_and_the_oldest_is_removed(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(spec(path, max_size="64KiB", keep=2))
    for number in range(8):
        log.write(numbered(number, 40_000))
        await until(lambda n=number: last_of(path) == n, "the line is there")  # type: ignore[misc]
    log.close()
    kept = [path, *(tmp_path / f"audit.jsonl.{number}" for number in (1, 2))]
    assert [lines(file)[0]["n"] for file in kept] == [7, 6, 5]
    assert all(file.stat().st_size <= 64 << 10 for file in kept)
    assert not (tmp_path / "audit.jsonl.3").exists()


async def test_a_file_renamed_by_another_process_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "audit.jsonl"
    log = AuditLog(spec(path))
    log.write(numbered(1))
    await until(lambda: path.exists() and path.stat().st_size, "the line is there")
    path.rename(tmp_path / "moved")
    log.write(numbered(2))
    log.close()
    assert ([line["n"] for line in lines(tmp_path / "moved")], [line["n"] for line in lines(path)]) == ([1], [2])


def test_pools_that_name_the_same_file_share_its_log(tmp_path: Path) -> None:
    logs = AuditLogs()
    one, other = spec(tmp_path / "a"), spec(tmp_path / "." / "a", keep=9)
    log = logs.take(one)
    assert logs.take(other) is log
    assert logs.take(spec(tmp_path / "b")) is not log
    logs.give_back(one)
    assert log.write(numbered(1))
    logs.give_back(other)
    assert [line["n"] for line in lines(tmp_path / "a")] == [1]
    logs.give_back(spec(tmp_path / "b"))


def test_the_end_does_not_wait_for_ever_for_a_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(audit, "FAREWELL", 0.05)
    gate = Gate(monkeypatch)
    log = AuditLog(spec(tmp_path / "a"))
    log.write(numbered(1))
    assert gate.reached.wait(30)
    log.close()
    gate.opened.set()  # the thread ends


def test_processes_that_share_standard_output_do_not_mix_their_lines() -> None:
    program = (
        "import sys; from mcppool.observe.audit_sinks import DescriptorSink; sink = DescriptorSink(1)\n"
        "for _ in range(40): sink.write([sys.argv[1].encode() * 30_000] * 3)"
    )
    reading, writing = os.pipe()
    writers = [subprocess.Popen([sys.executable, "-c", program, letter], stdout=writing) for letter in "ab"]
    os.close(writing)
    with open(reading, "rb") as reader:
        lines = reader.read().splitlines()
    assert [writer.wait() for writer in writers] == [0, 0]
    assert sorted(lines) == [b"a" * 30_000] * 120 + [b"b" * 30_000] * 120


def test_processes_that_share_a_file_lose_no_line_when_it_is_full(tmp_path: Path) -> None:
    program = (
        "import sys; from mcppool.observe.audit_sinks import FileSink\n"
        "from mcppool.spec.sections.audit import AuditSpec\n"
        "sink = FileSink(AuditSpec(type='file', file=sys.argv[1], max_size='64KiB', keep=1000))\n"
        "sys.stdin.read()\n"
        "for number in range(400): sink.write([b'%s %d %s' % (sys.argv[2].encode(), number, b'x' * 20_000)])"
    )
    command = [sys.executable, "-c", program, str(tmp_path / "audit")]
    writers = [subprocess.Popen([*command, letter], stdin=subprocess.PIPE) for letter in "ab"]
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.close()
    assert [writer.wait() for writer in writers] == [0, 0]
    found = sorted(line[:-20_000] for file in tmp_path.iterdir() for line in file.read_bytes().splitlines())
    assert found == sorted(b"%s %d " % (letter, number) for letter in (b"a", b"b") for number in range(400))
