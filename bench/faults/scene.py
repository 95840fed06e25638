"""The replicas, the proxy in front of them, and sixteen clients that call through a fault: before, during, after."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mcp import Client as SdkClient

from bench.faults.clients import LEGACY, MODERN, Client, Record
from tests.servers import Replica, SwitchedReplica
from tests.servers.process import ServerProcess
from tests.written_lines import whole_lines, written_json

CLIENTS = 16
WRITES = (0.1, 0.1, 0.8, 0.8)  # the share of calls that must not be repeated, of one client after another
STARTED = 60.0  # seconds for each client's first answer
RECOVERED = 60.0  # seconds for the replica's first call after its fault


@dataclass(frozen=True)
class Lengths:
    """Seconds: calls before the fault, the fault, calls after it. `pause` is the mean time between a client's calls.
    `calls`: so many are made in all, however long that takes."""

    before: float
    fault: float
    after: float
    pause: float
    calls: int = 0


@dataclass
class Window:
    """The time in which one replica had a fault."""

    url: str
    began: float
    ended: float = float("inf")


@dataclass
class Scene:
    """One case at one target. `bad` are the replicas with the fault, `front` takes the calls first."""

    replicas: Sequence[Replica]
    ledger: Path
    front: ServerProcess | None
    lengths: Lengths
    records: list[Record] = field(default_factory=list)
    warm: float = 0.0  # when each client had its first answer
    fault_began: float = 0.0
    fault_ended: float = 0.0
    recovered: float | None = None
    sdk_calls: int = 0
    sdk_failures: list[str] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    killed: list[Window] = field(default_factory=list)  # when a process of the gateway was killed
    _seen: int = 0  # bytes of the ledger that were there when the fault ended

    @property
    def bad(self) -> Replica:
        """The replica with the fault, if it is one."""
        return self.replicas[1]

    def switched(self) -> SwitchedReplica:
        """The same, with a replica that shows faults on demand."""
        assert isinstance(self.bad, SwitchedReplica)
        return self.bad

    @contextmanager
    def fault_at(self, replica: Replica) -> Iterator[None]:
        """While in the block, the replica has its fault."""
        window = Window(replica.url, time.time())
        self.windows.append(window)
        yield
        window.ended = time.time()

    @contextmanager
    def process_killed(self) -> Iterator[None]:
        """In the block a process of the gateway is killed, and is gone at its end."""
        window = Window("", time.time())
        self.killed.append(window)
        yield
        window.ended = time.time()

    async def last(self, share: float = 1.0) -> None:
        """Let the fault last (a share of) its time."""
        await asyncio.sleep(self.lengths.fault * share)

    def lines(self) -> list[dict[str, Any]]:
        """The records of the replicas."""
        return written_json(self.ledger)

    def end_fault(self) -> None:
        """The fault is over, now."""
        self.fault_ended = time.time()
        self._seen = self.ledger.stat().st_size

    def has_recovered(self) -> bool:
        """Whether the bad replica has executed a call since its fault ended."""
        with self.ledger.open("rb") as file:
            file.seek(self._seen)
            new = [json.loads(line) for line in whole_lines(file.read())]
        first = next((x for x in new if x["name"] == self.bad.name and x["at"] > self.fault_ended), None)
        self.recovered = first["at"] - self.fault_ended if first is not None else None
        return first is not None


Fault = Callable[[Scene], Awaitable[None]]


async def play(scene: Scene, urls: Sequence[str], fault: Fault, eras: Sequence[str], *, sdk: bool = False) -> None:
    """Let the clients call while `fault` happens, and until the bad replica takes calls again. `sdk`: two clients of
    the official SDK, one of each era, read as well."""
    stop = asyncio.Event()
    clients = [
        Client(
            n + 1,
            eras[n % len(eras)],
            urls,
            pause=scene.lengths.pause,
            writes=WRITES[n % len(WRITES)],
            records=scene.records,
        )
        for n in range(CLIENTS)
    ]
    tasks = [asyncio.create_task(client.run(stop)) for client in clients]
    if sdk:
        tasks += [asyncio.create_task(_sdk_client(scene, urls[0], mode, stop)) for mode in ("auto", "legacy")]
    try:
        await _until(lambda: all(client.calls > 1 for client in clients), tasks, STARTED)
        scene.warm = time.time()
        await asyncio.sleep(scene.lengths.before)
        scene.fault_began = time.time()
        await fault(scene)
        scene.end_fault()
        await asyncio.sleep(scene.lengths.after)
        await _until(lambda: len(scene.records) >= scene.lengths.calls, tasks, STARTED)
        await _until(scene.has_recovered, tasks, RECOVERED)
    finally:
        stop.set()
        await asyncio.gather(*tasks)


async def _sdk_client(scene: Scene, url: str, mode: str, stop: asyncio.Event) -> None:
    async with SdkClient(url, mode=mode) as client:
        while not stop.is_set():
            scene.sdk_calls += 1
            key = f"sdk {mode} {scene.sdk_calls}"
            try:
                answer = await client.call_tool("echo", {"value": key})
                if key not in str(answer.content):
                    scene.sdk_failures.append(f"{key}: {answer.content}")
            except Exception as error:  # a program sees any such failure
                scene.sdk_failures.append(f"{key}: {error!r}")
            await asyncio.sleep(scene.lengths.pause)


async def _until(condition: Callable[[], bool], tasks: Sequence[asyncio.Task[None]], limit: float) -> None:
    """Return when it is true, or after `limit` seconds: a missing event shows in the figures."""
    deadline = time.monotonic() + limit
    while not condition() and time.monotonic() < deadline:
        for task in tasks:
            if task.done():
                task.result()
        await asyncio.sleep(0.1)


__all__ = ["LEGACY", "MODERN", "Fault", "Lengths", "Scene", "play"]
