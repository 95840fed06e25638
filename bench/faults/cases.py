"""The faults, one entry each: the fault, the replicas that have it, and the failures that it excuses."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.faults.scene import Fault, Scene


@dataclass(frozen=True)
class Case:
    """`real`: the replicas are the official SDK's, and two of its clients call too; else the fault server's.

    `waits`: calls may have to wait at the bad replica; those are left out of the latency. `read_wait`: upper bound in
    seconds on a read. `begun`: answers that had begun to stream may be lost. `second`: there are two gateways, and the
    first has the fault. `workers` is the number of processes of the gateway. `strategy` is the balancing; `share` tells
    that the bad replica's share of calls is bounded.
    """

    name: str
    fault: Fault
    real: bool = False
    waits: bool = False
    begun: bool = False
    second: bool = False
    workers: int = 1
    strategy: str = "least_connections"
    share: bool = False
    read_wait: float | None = None


def shown(fault: str) -> Fault:
    """The bad replica shows `fault` for its time."""

    async def happen(scene: Scene) -> None:
        replica = scene.switched()
        with scene.fault_at(replica):
            await asyncio.to_thread(replica.show, fault)
            try:
                await scene.last()
            finally:
                await asyncio.to_thread(replica.show, "none")

    return happen


async def killed(scene: Scene) -> None:
    """SIGKILL; after a while it is started again."""
    with scene.fault_at(scene.bad):
        await asyncio.to_thread(scene.bad.kill)
        await scene.last()
        await scene.bad.restart()


async def hung(scene: Scene) -> None:
    """SIGSTOP, then SIGCONT."""
    with scene.fault_at(scene.bad):
        scene.bad.pause()
        try:
            await scene.last(2.0)
        finally:
            scene.bad.resume()


async def restarted_in_turn(scene: Scene) -> None:
    """Each is killed and started again, and gets calls before the next."""
    for replica in scene.replicas:
        with scene.fault_at(replica):
            await replica.restart()
        await scene.last(0.5)


async def rolled(scene: Scene) -> None:
    """Each is stopped and started again, one straight after another."""
    for replica in scene.replicas:
        with scene.fault_at(replica):
            await asyncio.to_thread(_end, replica.terminate)
            await replica.restart()


def _end(terminate: Callable[[], int]) -> None:
    terminate()


async def sessions_lost(scene: Scene) -> None:
    """It forgets its sessions, several times, and lives on."""
    for _ in range(4):
        with scene.fault_at(scene.bad):
            await asyncio.to_thread(scene.switched().forget_sessions)
        await scene.last(0.25)


async def gateway_restarted(scene: Scene) -> None:
    """The first gateway ends as an orchestrator ends it; its clients go to the second. Then it is back."""
    assert scene.front is not None
    await asyncio.to_thread(_end, scene.front.terminate)
    await scene.last()
    await scene.front.restart()


async def worker_killed(scene: Scene) -> None:
    """SIGKILL to one process of the gateway; its supervisor starts another. Ends when that one is there."""
    assert scene.front is not None
    supervisor = scene.front.pid
    before = workers_of(supervisor)
    with scene.process_killed():
        os.kill(before[0], signal.SIGKILL)
        await _until(lambda: _gone(before[0]))
    await scene.last()
    await _until(lambda: bool(set(workers_of(supervisor)) - set(before)))


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 (nothing tells of the end of a process that is no child of this one)
        await asyncio.sleep(0.001)


def workers_of(supervisor: int) -> list[int]:
    """Process ids of the workers of a gateway: children with a command line of their own."""
    children = Path(f"/proc/{supervisor}/task/{supervisor}/children").read_text().split()
    return sorted(int(pid) for pid in children if not _gone(int(pid)))


def _gone(pid: int) -> bool:
    """Whether a process has ended with all its threads: only then its sockets are closed."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        threads = len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return True
    return state in "ZX" and threads == 1


# A read at a hung replica waits for `suspect_after` and one check's time-out; half a second more is the clock's grain
# and the read itself.
HUNG_READ = 1.0 + 0.5 + 0.5

CASES: tuple[Case, ...] = (
    Case("killed", killed, real=True),
    Case("hung", hung, real=True, waits=True, read_wait=HUNG_READ),
    Case("each restarted in turn", restarted_in_turn, real=True),
    Case("all rolled", rolled, real=True),
    Case("slow, least_connections", shown("slow"), waits=True, share=True),
    Case("slow, response_time_based", shown("slow"), waits=True, share=True, strategy="response_time_based"),
    Case("slow, round_robin", shown("slow"), waits=True, strategy="round_robin"),
    Case("reset before executing", shown("reset before")),
    Case("reset after executing", shown("reset after")),
    Case("answer cut short", shown("cut short")),
    Case("stream cut before its answer", shown("stream cut"), begun=True),
    Case("HTTP 500", shown("500")),
    Case("HTTP 503", shown("503")),
    Case("HTTP 503, Retry-After", shown("503 retry-after")),
    Case("HTTP 429", shown("429")),
    Case("garbage", shown("garbage")),
    Case("wrong id", shown("wrong id")),
    Case("sessions lost", sessions_lost),
    Case("gateway restarted under a second", gateway_restarted, second=True),
    Case("one of two workers killed", worker_killed, workers=2),
)
