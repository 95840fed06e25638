"""The number of processes that share the port."""

from __future__ import annotations

import math
import os
from pathlib import Path

from mcppool.spec import ListenerSpec


def worker_count(listener: ListenerSpec) -> int:
    """`listener.workers`; for `auto`, one for each processor core that this process may use."""
    return usable_cores() if listener.workers is None else listener.workers


def usable_cores(root: Path = Path("/")) -> int:
    """The cores on which this process may run, or its container's share of processor time if that is less."""
    cores = len(os.sched_getaffinity(0))
    share = _container_share(root)
    return cores if share is None else max(1, min(cores, math.ceil(share)))


def _container_share(root: Path) -> float | None:
    """The limit of the control group (v2), in cores; None if there is none."""
    try:
        group = (root / "proc/self/cgroup").read_text().rpartition("::")[2].strip()
    except OSError:
        return None
    shares = []
    for folder in {root / "sys/fs/cgroup" / group.strip("/"), root / "sys/fs/cgroup"}:
        try:
            quota, period = (folder / "cpu.max").read_text().split()
            shares.append(int(quota) / int(period))
        except (OSError, ValueError):  # not there, or `max`
            continue
    return min(shares, default=None)
