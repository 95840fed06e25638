"""A local program that does not run: it is started ever more slowly, and reported once."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

from mcppool.spec import PoolSpec, loads_toml
from mcppool.upstream.stdio.conversation import Callers
from mcppool.upstream.stdio.era import EraFinding
from mcppool.upstream.stdio.launcher import Launcher
from mcppool.upstream.stdio.quota import Quota
from mcppool.upstream.stdio.slot import Shared, Slot
from tests.waiting import until
from tests.written_lines import written_lines

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

    async def spawn(callers: Callers) -> object:
        nonlocal tries
        tries += 1
        return await original(callers)

    original, slot._spawn = slot._spawn, spawn  # type: ignore[method-assign, assignment]
    try:
        await until(lambda: tries >= 5, "it was tried five times")
    finally:
        await slot.stop()
        await launcher.close()
    assert told == [("failed", "./not-there: No such file or directory")]
