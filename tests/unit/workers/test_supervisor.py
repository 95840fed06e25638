"""The supervisor of small worker programs: what becomes of one that hangs or is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from itertools import repeat
from pathlib import Path

import pytest

from mcppool.discovery.static import FixedSource
from mcppool.spec.toml import loads_toml
from mcppool.workers.channel import Channel
from mcppool.workers.hang_watch import HangWatch
from mcppool.workers.supervisor import Supervisor
from tests.descriptors import held
from tests.waiting import until

pytestmark = pytest.mark.slow

PROGRAM = Path(__file__).with_name("worker_program.py")
CONFIG = """
[listener]
listen = "127.0.0.1:0"
[metrics]
enabled = false
[[pools]]
name = "demo"
endpoints = ["http://127.0.0.1:9/mcp"]
"""
PATIENT = HangWatch(hung_after=3600)


def program(channel: int) -> list[str]:
    """The command of a worker."""
    return [sys.executable, str(PROGRAM), str(channel)]


def running() -> set[int]:
    """The worker programs that this process has started and that have not ended."""
    found = set()
    for file in Path("/proc/self/task").glob("*/children"):
        for pid in file.read_text().split():
            with suppress(OSError):  # it has ended just now
                if str(PROGRAM).encode() in Path(f"/proc/{pid}/cmdline").read_bytes():
                    found.add(int(pid))
    return found


@asynccontextmanager
async def supervised(
    count: int, watch: HangWatch, command: Callable[[int], list[str]] = program, configs: Iterable[str] = repeat(CONFIG)
) -> AsyncIterator[Supervisor]:
    """A supervisor with so many workers that serve. `configs`: the texts of its configuration, as it reads them one
    after another at its start and for each reload."""
    snapshots = map(loads_toml, configs)
    supervisor = Supervisor(loads_toml(CONFIG), count, command, lambda: FixedSource(next(snapshots)), watch)
    await supervisor.start(lambda: None)
    try:
        yield supervisor
    finally:
        supervisor.kill()  # those that are stopped, too
        await supervisor.stop()


def pids(supervisor: Supervisor) -> set[int]:
    return {worker.process.pid for worker in supervisor.workers}


async def calls(supervisor: Supervisor) -> float:
    """The sum on `/metrics`, from workers that answer within a moment."""
    families = await supervisor.metrics(timeout=0.2)
    return sum(value for family in families for value in family.samples.values())


async def test_a_worker_that_hangs_is_killed_and_another_one_serves_in_its_place() -> None:
    async with supervised(1, HangWatch(hung_after=5.0, interval=0.1)) as supervisor:
        (stopped,) = pids(supervisor)
        os.kill(stopped, signal.SIGSTOP)
        await until(lambda: supervisor.ended_by_themselves, "the supervisor has killed it")
        assert [why for _, why in supervisor.missing()] == ["it did not answer for 5 s, and was killed"]
        await until(lambda: pids(supervisor) - {stopped}, "another one serves")


async def test_a_worker_that_hangs_before_it_serves_is_killed_and_does_not_hold_up_reloads() -> None:
    mute = [sys.executable, "-c", "import time; time.sleep(3600)"]
    commands = 0

    class Watch(HangWatch):
        """Patient with the workers that begin to serve, however slow the machine is."""

        async def hangs(self, channel: Channel) -> float:
            mute_one = HangWatch(starts_within=1.0, interval=0.1)
            return await (mute_one if commands == 2 else PATIENT).hangs(channel)

    def command(channel: int) -> list[str]:
        nonlocal commands
        commands += 1
        return mute if commands == 2 else program(channel)

    async with supervised(1, Watch(), command) as supervisor:
        first = pids(supervisor)
        supervisor.reload()
        await until(lambda: not supervisor.is_rolling, "the reload gives up")
        assert commands == 2
        assert pids(supervisor) == first
        supervisor.reload()
        await until(lambda: not supervisor.is_rolling, "the next reload is done")
        assert not pids(supervisor) & first


@pytest.mark.parametrize(
    ("old", "new", "key"),
    [
        ("127.0.0.1:0", "127.0.0.1:1", "listener.listen"),
        ("[metrics]", "workers = 7\n[metrics]", "listener.workers"),
        ("enabled = false", "enabled = true", "metrics.enabled"),
        ("http://127.0.0.1:9/mcp", "nothing", "endpoints"),
    ],
)
async def test_a_reload_for_which_new_workers_are_not_enough_replaces_none(
    old: str, new: str, key: str, capfd: pytest.CaptureFixture[str]
) -> None:
    files, asked = held(), [CONFIG, CONFIG.replace(old, new), CONFIG]
    async with supervised(1, PATIENT, configs=asked) as supervisor:
        first = pids(supervisor)
        supervisor.reload()
        await until(lambda: not supervisor.is_rolling, "the reload ends")
        assert pids(supervisor) == first
        supervisor.reload()
        await until(lambda: not supervisor.is_rolling, "the reload ends")
        assert not pids(supervisor) & first
    (line,) = (line for line in capfd.readouterr().err.splitlines() if "rolling_reload_failed" in line)
    assert key in line
    assert not held() - files


async def test_a_worker_that_cannot_be_started_is_started_later() -> None:
    commands = 0

    def command(channel: int) -> list[str]:
        nonlocal commands
        commands += 1
        return ["/nonexistent/python"] if commands in (2, 3) else program(channel)

    async with supervised(1, PATIENT, command) as supervisor:
        first = pids(supervisor)
        os.kill(*first, signal.SIGKILL)
        await until(lambda: commands == 3, "it is tried again")
        assert ["it cannot be started" in why for _, why in supervisor.missing()] == [True]
        await until(lambda: pids(supervisor) - first, "another one serves")


async def test_counts_of_a_worker_that_hangs_or_is_killed_stay_in_the_sums() -> None:
    async with supervised(2, PATIENT) as supervisor:
        async with asyncio.timeout(60):
            while await calls(supervisor) < 10:
                pass
        one = min(pids(supervisor))
        os.kill(one, signal.SIGSTOP)
        assert await calls(supervisor) == 10
        os.kill(one, signal.SIGKILL)
        await until(lambda: one not in pids(supervisor), "the end is noticed")
        assert await calls(supervisor) >= 10  # its successor may have counted, too


async def test_a_worker_that_is_being_started_when_the_gateway_ends_ends_with_it() -> None:
    files, starting, commands = held(), asyncio.Event(), 0

    def command(channel: int) -> list[str]:
        nonlocal commands
        commands += 1
        if commands == 2:
            starting.set()
        return program(channel)

    async with supervised(1, PATIENT, command) as supervisor:
        os.kill(*pids(supervisor), signal.SIGKILL)
        await starting.wait()
    assert not running()
    assert not held() - files
