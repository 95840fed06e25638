"""Child processes of a benchmark: pinned to a core, measured by the kernel's own clock, ended by their id."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import time
from collections.abc import Collection, Sequence
from pathlib import Path

PAGE = os.sysconf("SC_PAGE_SIZE")
TICK = os.sysconf("SC_CLK_TCK")
REST_SECONDS = 60.0
"""Seconds in which processes must come to rest."""
LOOKS, LOOK_SECONDS = 5, 0.01
"""Looks in a row at a process at rest, and the time between two of them."""
REST_SHARE = 0.1
"""Share of a core that processes at rest may use, all together: a gateway looks after its connections now and then."""


class Failed(Exception):
    """The benchmark cannot go on; the message says why."""


class Process:
    """One child on one core. `stop` ends it: SIGTERM, then SIGKILL after five seconds.

    It has a session of its own. Linux gives each session an equal share of a core (autogroup), and the workers of a
    gateway have sessions of their own, too."""

    def __init__(self, argv: Sequence[str], core: int, log: Path, stdout: int | None = None) -> None:
        self.argv, self.log = argv, log
        self.started = time.monotonic()
        with log.open("wb") as errors:
            self.child = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=errors if stdout is None else stdout,
                stderr=errors,
                start_new_session=True,
                preexec_fn=lambda: os.sched_setaffinity(0, {core}),
            )

    def pids(self) -> list[int]:
        """The process and its direct children (nginx's worker)."""
        pid = self.child.pid
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [pid, *map(int, children)]

    def cpu_seconds(self) -> float:
        """User and system time so far, in seconds, to the nanosecond: Linux derives a clock id from a process id."""
        return sum(time.clock_gettime((~pid << 3) | 2) for pid in self.pids())

    def asleep(self) -> bool:
        """Whether all of its threads wait for events: none runs, or waits for a core or a disk."""
        try:
            for pid in self.pids():
                for thread in Path(f"/proc/{pid}/task").iterdir():
                    state = (thread / "stat").read_text().rpartition(")")[2].split()[0]
                    if state != "S":
                        return False
        except FileNotFoundError:  # a thread has just ended
            return False
        return True

    def resident_bytes(self) -> int:
        return sum(int(Path(f"/proc/{pid}/statm").read_text().split()[1]) for pid in self.pids()) * PAGE

    def resident_mb(self) -> float:
        return self.resident_bytes() / 1e6

    def check_alive(self) -> None:
        if self.child.poll() is not None:
            tail = self.log.read_text(errors="replace")[-2000:]
            raise Failed(f"{' '.join(self.argv)} ended with status {self.child.returncode}:\n{tail}")

    def stop(self) -> None:
        if self.child.poll() is None:
            self.child.terminate()
            try:
                self.child.wait(5)
            except subprocess.TimeoutExpired:
                self.child.kill()
                self.child.wait(5)


def wait_until_at_rest(processes: Collection[Process]) -> None:
    """Wait until none of these processes works any more, such as on the connections of the load before.

    A process that works is seen even if the machine gives it no core. Raises Failed if they go on working."""
    began = time.monotonic()
    while True:
        since, used = time.monotonic(), _cpu_seconds(processes)
        for _ in range(LOOKS):
            time.sleep(LOOK_SECONDS)
            if not all(process.asleep() for process in processes):
                break
        else:
            if _cpu_seconds(processes) - used <= REST_SHARE * (time.monotonic() - since):
                return
        if time.monotonic() - began > REST_SECONDS:
            raise Failed(f"the processes of the benchmark still work {REST_SECONDS:.0f} s after the load")


def _cpu_seconds(processes: Collection[Process]) -> float:
    return sum(process.cpu_seconds() for process in processes)


def busy_seconds(cores: Collection[int]) -> float:
    """Seconds that these cores have been busy since boot, taken together, for all processes."""
    names = {f"cpu{core}" for core in cores}
    ticks = 0
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name in names:
            user, nice, system, _idle, _iowait, irq, softirq, *_ = map(int, fields)
            ticks += user + nice + system + irq + softirq
    return ticks / TICK


def free_port() -> int:
    """A free port outside the range from which the kernel takes those of outgoing connections: with thousands of
    connections one of these would soon have the port that a target is about to listen on."""
    first, last = map(int, Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split())
    ports = [*range(10_000, first), *range(last + 1, 65_536)]
    random.shuffle(ports)
    for port in ports:
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(port)
    raise Failed("no port is free")
