"""One replica of a local server, from start to start. A program that does not run is started ever more slowly, and
reported once."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from pathlib import Path

import pytest

from mcppool.spec import PoolSpec, loads_toml
from mcppool.upstream.stdio.conversation import Callers
from mcppool.upstream.stdio.era import EraFinding
from mcppool.upstream.stdio.launcher import Launcher
from mcppool.upstream.stdio.quota import Quota
from mcppool.upstream.stdio.slot import Run, Shared, Slot
from tests.servers import modern_call
from tests.waiting import until
from tests.written_lines import written_lines

LARGE_PROGRAM = str(Path(__file__).resolve().parents[2] / "servers" / "large_program.py")
PROGRAM = """
import sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{time.monotonic()}\\n")
sys.exit("the database is not there")
"""


def spec_of(*command: str) -> PoolSpec:
    return loads_toml(f'profile = "test"\n[[pools]]\nname = "p"\ncommand = {json.dumps(command)}').pools[0]


def slot_of(tmp_path: Path, launcher: Launcher, told: list[tuple[str, str]], *command: str) -> Slot:
    spec = spec_of(*command)
    shared = Shared(lambda: spec, launcher, Quota(64, 32), EraFinding(), dict(os.environ))
    return Slot(tmp_path / "socket", shared, lambda what, detail: told.append((what, detail)))


async def test_a_failing_program_is_started_ever_more_slowly_and_reported_once(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    told: list[tuple[str, str]] = []
    launcher = Launcher()
    slot = slot_of(tmp_path, launcher, told, sys.executable, "-S", "-c", PROGRAM, str(starts))
    try:
        await until(lambda: len(written_lines(starts)) >= 8, "it was tried eight times")
    finally:
        await slot.stop()
        await launcher.close()
    assert sorted(told) == sorted(set(told)), "nothing is told twice"
    assert {what for what, _ in told} == {"failed", "stderr"}
    assert ("stderr", "the database is not there") in told
    assert any("it exited with code 1" in detail for what, detail in told if what == "failed")


async def test_a_missing_program_is_reported_once(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    launcher = Launcher()
    slot = slot_of(tmp_path, launcher, told, "./not-there")
    tries = 0

    async def spawn(run: Run, callers: Callers) -> object:
        nonlocal tries
        tries += 1
        return await original(run, callers)

    original, slot._spawn = slot._spawn, spawn  # type: ignore[method-assign, assignment]
    try:
        await until(lambda: tries >= 5, "it was tried five times")
    finally:
        await slot.stop()
        await launcher.close()
    assert told == [("failed", "./not-there: No such file or directory")]


async def test_a_process_whose_start_outlasts_its_run_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would belong to the next run, which knows nothing of it."""
    launcher = Launcher()
    slot = slot_of(tmp_path, launcher, [], "sleep", "600")
    await slot.stop()
    run = Run()
    start = launcher.start

    async def start_late(*arguments: object) -> object:
        child = await start(*arguments)  # type: ignore[arg-type]
        await run.end()
        return child

    try:
        monkeypatch.setattr(launcher, "start", start_late)
        with pytest.raises(OSError, match="its program has ended"):
            await slot._spawn(run, Callers.SESSION)
        await until(lambda: slot.state.processes == 0, "the process has ended")
        with pytest.raises(OSError, match="its program has ended"):
            await slot._spawn(run, Callers.SESSION)
        assert slot.state.starts == 1
    finally:
        await launcher.close()


async def test_the_end_of_a_replica_does_not_wait_for_a_client_that_reads_an_earlier_answer(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    launcher = Launcher()
    slot = slot_of(tmp_path, launcher, told, sys.executable, "-S", LARGE_PROGRAM)
    size = 8 << 20
    (tmp_path / "result").write_bytes(b'{"a":"%b"}' % (b"x" * size))
    headers, body = modern_call("read", {"result": str(tmp_path / "result"), "last": True})
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    try:
        await until(lambda: "started" in dict(told), "its program runs")
        reader, writer = await asyncio.open_unix_connection(str(slot.path), limit=1 << 10)
        writer.write(f"POST /mcp HTTP/1.1\r\nhost: x\r\n{lines}content-length: {len(body)}\r\n\r\n".encode() + body)
        await until(lambda: [what for what, _ in told].count("started") == 2, "its program has ended and runs again")
    finally:
        await slot.stop()
        await launcher.close()
    got = 0
    with contextlib.suppress(ConnectionError):
        while part := await reader.read(1 << 16):
            got += len(part)
    assert got < size
    writer.close()
