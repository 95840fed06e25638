"""The end of a process: its last words come first."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import cast

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

    def kill(self) -> None:
        raise AssertionError("it has ended by itself")


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
