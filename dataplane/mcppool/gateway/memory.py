"""The memory that the process uses, and the limit that `limits.memory` or the machine sets."""

from __future__ import annotations

import asyncio
import ctypes
import gc
import os
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Final

from mcppool.observe import logs
from mcppool.policy.memory_budget import MemoryBudget

SHARE_OF_CONTAINER: Final = 0.75
"""Share of the container's memory limit. The rest is for growth between two measurements, and for copies in flight."""
SHARE_OF_MACHINE: Final = 0.5
"""Share of the machine's memory, if no container has a limit."""
INTERVAL: Final = 0.25
"""Seconds between two measurements of the resident size."""
TRIM_ABOVE: Final = 0.9
"""Share of the limit above which free memory is given back to the machine."""
TRIM_EVERY: Final = 5.0
"""Lower bound on the seconds between two of these."""
LARGE_BLOCK: Final = 1 << 20
"""Smallest size in bytes of a freed block that is given back to the machine."""
KEPT_FREE: Final = 16 << 20
"""Free bytes at the end of the heap that are kept for the next large answer: to give them back and to get them again
takes longer than to copy the answer."""
SPARE: Final = 32 << 20
"""Bytes by which the process may grow while as much is free between blocks in use, before that is given back: large
answers for many slow clients would otherwise take twice the memory that they need."""
SPARE_EVERY: Final = 1.0
"""Lower bound on the seconds between two of these; one takes some 10 ms."""
STUCK_AFTER: Final = 5.0
"""Seconds that the resident size exceeds the limit with almost nothing charged, before the gateway goes on
anyway."""
M_TRIM_THRESHOLD: Final = -1  # of malloc.h
M_MMAP_THRESHOLD: Final = -3
_NO_LIMIT: Final = 1 << 60  # cgroup v1 shows a number near 2**63 for no limit

log = logs.get_logger("memory")


def default_limit(root: Path = Path("/")) -> int:
    """The default of `limits.memory`: a share of the container's limit, else of the machine's memory, in bytes."""
    machine = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    container = container_limit(root)
    if container is not None and container < machine:
        return int(container * SHARE_OF_CONTAINER)
    return int(machine * SHARE_OF_MACHINE)


def container_limit(root: Path = Path("/")) -> int | None:
    """The lowest memory limit of the control groups (v2 or v1) of the process; None if there is none."""
    limits = [limit for file in _limit_files(root) if (limit := _read_limit(file)) is not None]
    return min(limits, default=None)


def _limit_files(root: Path) -> Iterator[Path]:
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            mount, name = root / "sys/fs/cgroup", "memory.max"
        elif "memory" in controllers.split(","):
            mount, name = root / "sys/fs/cgroup/memory", "memory.limit_in_bytes"
        else:
            continue
        # In a container the path may be the host's, and the container's own group is the root of the mount.
        group = mount / path.strip("/")
        while group != mount:
            yield group / name
            group = group.parent
        yield mount / name


def _read_limit(file: Path) -> int | None:
    try:
        limit = int(file.read_text())
    except (OSError, ValueError):  # not there, or `max`
        return None
    return limit if limit < _NO_LIMIT else None


def resident_size() -> int:
    """The resident size of the process in bytes; 0 if the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


class MemoryWatch:
    """Tells a budget its limit and, between `start` and `stop`, the resident size of the process."""

    def __init__(self, budget: MemoryBudget) -> None:
        self._budget = budget
        self._configured: int | None = None
        self._full = False
        self._idle_since: float | None = None  # since when the limit is exceeded although nothing is charged
        self._trimmed = 0.0
        self._lowest = 0  # resident size after free memory was given back, or less
        self._alarm: asyncio.TimerHandle | None = None

    def configure(self, limit: int | None) -> None:
        """Apply `limits.memory`; None: the default."""
        self._configured = limit
        if self._alarm is not None:
            self._budget.set_limit(self._limit(), self._budget.base)

    def start(self) -> None:
        """Begin. The process needs the memory that it uses now even without calls."""
        _return_large_blocks()
        self._lowest = resident_size()
        self._budget.set_limit(self._limit(), self._lowest)
        self._alarm = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def stop(self) -> None:
        """End."""
        if self._alarm is not None:
            self._alarm.cancel()

    def _limit(self) -> int:
        return default_limit() if self._configured is None else self._configured

    def _look(self) -> None:
        budget = self._budget
        budget.watch(resident_size())
        now = monotonic()
        if budget.resident > TRIM_ABOVE * (budget.base + budget.room) and now >= self._trimmed + TRIM_EVERY:
            self._trim(now)
        self._give_spare_back(now)
        if budget.full and budget.reclaim():
            self._trim(now)
        self._unstick(now)
        if budget.full is not self._full:
            self._full = budget.full
            fields = {"limit": budget.limit, "resident": budget.resident, "charged": budget.charged}
            if self._full:
                log.warning("memory_full", **fields, advice="raise limits.memory, or add gateways")
            else:
                log.event("memory_available", **fields)
        self._alarm = asyncio.get_running_loop().call_later(INTERVAL, self._look)

    def _trim(self, now: float) -> None:
        self._trimmed = now
        _trim()
        self._budget.watch(resident_size())

    def _give_spare_back(self, now: float) -> None:
        """Give free memory back that has grown together with the process."""
        resident = self._budget.resident
        if resident < self._lowest:
            self._lowest = resident
        elif resident > self._lowest + SPARE and now >= self._trimmed + SPARE_EVERY and free_size() > SPARE:
            self._trimmed = now
            give_back()
            self._lowest = resident_size()
            self._budget.watch(self._lowest)

    def _unstick(self, now: float) -> None:
        budget = self._budget
        if budget.stuck or not budget.may_be_stuck():
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = now
        elif now >= self._idle_since + STUCK_AFTER:
            budget.unstick()
            log.warning(
                "memory_not_given_back",
                limit=budget.limit,
                resident=budget.resident,
                charged=budget.charged,
                advice="calls are served within a small part of it; raise limits.memory",
            )


def _trim() -> None:
    """Free memory held only by reference cycles, and give free memory back to the machine."""
    gc.collect()
    give_back()


def give_back() -> None:
    """Give free memory back to the machine, if the C library can."""
    trim = getattr(_LIBC, "malloc_trim", None)
    if trim is not None:
        trim(0)


class _Mallinfo(ctypes.Structure):
    """`struct mallinfo2` of malloc.h."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def free_size() -> int:
    """Free bytes of the C library's heap, a part of which is not resident; 0 if the library does not tell."""
    info = getattr(_LIBC, "mallinfo2", None)
    if info is None:
        return 0
    info.restype = _Mallinfo
    return int(info().fordblks)


def _return_large_blocks() -> None:
    """Make the C library give large blocks back when they are freed. By default it keeps blocks of up to 32 MiB, and
    after some large messages the process would look full."""
    set_option = getattr(_LIBC, "mallopt", None)
    if set_option is not None:
        set_option(M_MMAP_THRESHOLD, LARGE_BLOCK)
        set_option(M_TRIM_THRESHOLD, KEPT_FREE)


_LIBC = ctypes.CDLL(None)
