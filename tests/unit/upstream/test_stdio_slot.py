"""A local program that does not run: it is tried again, ever more slowly, and told of once."""

from __future__ import annotations

import sys
from pathlib import Path

from mcppool.upstream.stdio.slot import Slot
from tests.unit.pipeline.pools import spec_of
from tests.waiting import until

PROGRAM = """
import sys, time
with open(sys.argv[1], "a") as file:
    file.write(f"{time.monotonic()}\\n")
sys.exit("the database is not there")
"""


async def test_a_program_that_does_not_run_is_tried_ever_more_slowly_and_told_of_once(tmp_path: Path) -> None:
    starts = tmp_path / "starts"
    starts.touch()
    told: list[tuple[str, str]] = []
    command = [sys.executable, "-S", "-c", PROGRAM, str(starts)]
    slot = Slot(tmp_path / "socket", command, spec_of("", "unused"), lambda what, detail: told.append((what, detail)))
    try:
        await until(lambda: len(starts.read_text().splitlines()) >= 8, "it was tried eight times")
    finally:
        await slot.stop()
    assert sorted(told) == sorted(set(told)), "nothing is told twice"
    assert {what for what, _ in told} == {"failed", "stderr"}
    assert ("stderr", "the database is not there") in told


async def test_a_program_that_is_not_there_is_told_of_once(tmp_path: Path) -> None:
    told: list[tuple[str, str]] = []
    slot = Slot(
        tmp_path / "socket", ["./not-there"], spec_of("", "unused"), lambda what, detail: told.append((what, detail))
    )
    tries = 0

    async def spawn() -> object:
        nonlocal tries
        tries += 1
        return await original()

    original, slot._spawn = slot._spawn, spawn  # type: ignore[method-assign, assignment]
    try:
        await until(lambda: tries >= 5, "it was tried five times")
    finally:
        await slot.stop()
    assert [what for what, _ in told] == ["failed"]
