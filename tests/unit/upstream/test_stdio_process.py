"""The end of a process: its last words come first."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping, Sequence
from typing import cast

import pytest

from mcppool.upstream.stdio.launcher import ChildProcess, Launcher
from mcppool.upstream.stdio.process import Process
from tests.waiting import until


class Heard:
    """Notes what it hears, in order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def heard(self, line: bytes) -> None:
        self.told.append(line.decode())

    def said(self, line: str) -> None:
        self.told.append(line)

    def over(self) -> None:
        self.told.append("over")


class Child:
    """A process of which only the pipes are there; the test holds the other ends."""

    def __init__(self) -> None:
        self.pid = 1
        self.theirs, self.stdin = os.pipe()
        self.stdout, self.output = os.pipe()
        self.stderr, self.errors = os.pipe()
        self.killed = False

    def kill(self) -> None:
        self.killed = True


class Launches:
    """A launcher of one child; `exit` tells the end of it."""

    def __init__(self) -> None:
        self.child = Child()
        self.exit: Callable[[int | None], None] = lambda _: None

    async def start(
        self, _command: Sequence[str], _environment: Mapping[str, str], on_exit: Callable[[int | None], None]
    ) -> ChildProcess:
        self.exit = on_exit
        return cast(ChildProcess, self.child)


async def test_the_last_words_of_a_process_come_before_its_end_however_late_they_are_read() -> None:
    launches, hearer = Launches(), Heard()
    process = Process(cast(Launcher, launches), ["program"], {}, hearer)
    await process.start()
    os.close(launches.child.output)  # its output ends before the rest of its errors is read
    await until(lambda: process._output_over, "the end of its output")
    launches.exit(1 << 8)
    assert not process.ended.is_set()
    os.write(launches.child.errors, b"the database is not there\n")
    os.close(launches.child.errors)
    await until(process.ended.is_set, "its end")
    os.close(launches.child.theirs)
    assert hearer.told == ["the database is not there", "over"]
    assert process.end == "it exited with code 1"
    assert not launches.child.killed


@pytest.mark.parametrize("turns", range(8))
async def test_a_start_that_is_cancelled_ends_the_process_and_closes_its_streams(turns: int) -> None:
    launches, hearer = Launches(), Heard()
    process = Process(cast(Launcher, launches), ["program"], {}, hearer)
    starting = asyncio.create_task(process.start())
    await asyncio.sleep(0)  # the process runs
    for _ in range(turns):
        await asyncio.sleep(0)
    starting.cancel()
    cancelled = isinstance((await asyncio.gather(starting, return_exceptions=True))[0], asyncio.CancelledError)
    assert launches.child.killed == cancelled
    if not cancelled:
        launches.exit(0)
        await process.stop()
    await until(process.ended.is_set, "its end")
    launches.exit(9)
    child = launches.child
    await until(lambda: not any(map(is_open, (child.stdin, child.stdout, child.stderr))), "its streams are closed")
    for descriptor in (child.theirs, child.output, child.errors):
        os.close(descriptor)
    assert hearer.told == ["over"]


def is_open(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return False
    return True
