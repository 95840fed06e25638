"""The origin of the process's memory limit."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from mcppool.gateway import memory
from mcppool.gateway.memory import SPARE, MemoryWatch, container_limit, default_limit, free_size, resident_size
from mcppool.policy.memory_budget import MemoryBudget
from tests.waiting import until

MIB = 1 << 20


def machine(root: Path, groups: str, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/cgroup": groups, **files}.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


CONTAINERS: dict[str, tuple[str, dict[str, str], int | None]] = {
    "v2, in a namespace of its own": ("0::/\n", {"sys/fs/cgroup/memory.max": f"{512 * MIB}\n"}, 512 * MIB),
    "v2, a service whose slice has less": (
        "0::/a.slice/b.service\n",
        {
            "sys/fs/cgroup/a.slice/memory.max": f"{256 * MIB}\n",
            "sys/fs/cgroup/a.slice/b.service/memory.max": f"{512 * MIB}\n",
        },
        256 * MIB,
    ),
    "v2 without a limit": ("0::/\n", {"sys/fs/cgroup/memory.max": "max\n"}, None),
    "v1": ("4:memory:/docker/x\n", {"sys/fs/cgroup/memory/docker/x/memory.limit_in_bytes": "1073741824\n"}, 1024 * MIB),
    "v1, where the path is the host's": (
        "4:memory:/docker/x\n0::/\n",
        {"sys/fs/cgroup/memory/memory.limit_in_bytes": "1073741824\n"},
        1024 * MIB,
    ),
    "v1 without a limit": (
        "4:memory:/\n",
        {"sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n"},
        None,
    ),
    "v1 together with another controller": (
        "4:cpu,memory:/\n",
        {"sys/fs/cgroup/memory/memory.limit_in_bytes": "67108864\n"},
        64 * MIB,
    ),
    "nothing that can be read": ("0::/\n", {"sys/fs/cgroup/memory.max": "odd\n"}, None),
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_the_limit_of_a_container_is_found(name: str, tmp_path: Path) -> None:
    groups, files, limit = CONTAINERS[name]
    root = machine(tmp_path, groups, files)
    assert container_limit(root) == limit
    if limit is not None:
        assert default_limit(root) == limit * 3 // 4


def test_without_a_container_it_is_half_of_the_machine(tmp_path: Path) -> None:
    assert default_limit(tmp_path) > 0
    assert default_limit(machine(tmp_path, "0::/\n", {"sys/fs/cgroup/memory.max": f"{1 << 50}\n"})) < 1 << 50


async def test_a_process_that_grows_over_its_limit_is_full_until_it_has_shrunk(monkeypatch: pytest.MonkeyPatch) -> None:
    size = resident_size()
    assert size > 10 * MIB
    monkeypatch.setattr(memory, "resident_size", lambda: size)
    monkeypatch.setattr(memory, "INTERVAL", 0.001)
    budget = MemoryBudget()
    watch = MemoryWatch(budget)
    watch.configure(size + 100 * MIB)
    watch.start()
    try:
        size += 101 * MIB
        await until(lambda: budget.full, "it is seen")
        size -= 50 * MIB
        await until(lambda: not budget.full, "it is seen")
        watch.configure(None)
        assert budget.limit == default_limit()
    finally:
        watch.stop()
    size += 1 << 50
    await asyncio.sleep(0.01)
    assert not budget.full, "nobody looks any more"


async def test_a_process_that_never_shrinks_serves_again_once_nothing_is_charged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size = 100 * MIB
    monkeypatch.setattr(memory, "resident_size", lambda: size)
    monkeypatch.setattr(memory, "INTERVAL", 0.001)
    monkeypatch.setattr(memory, "STUCK_AFTER", 0.01)
    budget = MemoryBudget()
    cache = budget.account("cache")

    def give_way(wanted: int) -> int:
        given = min(wanted, cache.used)
        cache.release(given)
        return given

    budget.add_reclaimer(give_way)
    watch = MemoryWatch(budget)
    watch.configure(150 * MIB)
    watch.start()
    try:
        cache.charge(40 * MIB)
        size = 200 * MIB
        await until(lambda: cache.used == 0, "what is kept gives way")
        await until(lambda: budget.stuck, "nothing more can be given back")
        assert budget.account("bodies").reserve(MIB)
        size = 120 * MIB
        await until(lambda: not budget.stuck, "it has shrunk after all")
    finally:
        watch.stop()


async def test_memory_that_is_free_between_blocks_in_use_is_given_back_once_the_process_has_grown(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    size, free, given_back = 100 * MIB, 0, 0

    def give_back() -> None:
        nonlocal size, given_back
        size -= free
        given_back += 1

    monkeypatch.setattr(memory, "resident_size", lambda: size)
    monkeypatch.setattr(memory, "free_size", lambda: free)
    monkeypatch.setattr(memory, "give_back", give_back)
    monkeypatch.setattr(memory, "INTERVAL", 0.001)
    monkeypatch.setattr(memory, "SPARE_EVERY", 0.0)
    budget = MemoryBudget()
    watch = MemoryWatch(budget)
    watch.start()
    try:
        size = 90 * MIB
        await until(lambda: budget.resident == size, "it is seen")
        size = 90 * MIB + SPARE
        await until(lambda: budget.resident == size, "it is seen")
        free = 2 * SPARE
        size = 90 * MIB + 3 * SPARE
        await until(lambda: given_back, "it is given back")
        await until(lambda: budget.resident == size, "it is seen")
        assert size == 90 * MIB + SPARE
        free, size = 0, 90 * MIB + 9 * SPARE
        await until(lambda: budget.resident == size, "it is seen")
        assert given_back == 1, "all of it is in use"
    finally:
        watch.stop()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc tells the free bytes of its heap")
def test_the_free_bytes_of_the_heap_are_those_of_freed_blocks() -> None:
    blocks = [bytes(100_000) for _ in range(100)]
    before = free_size()
    del blocks[::2]
    assert free_size() - before > 4_000_000
