"""Many handshake-era sessions that call until stopped.

Standard input has lines `end NAME …`: these sessions end as their clients end them. At the end of input all do.
Progress is a JSON line about five times per second, with the record of each session.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass, field
from typing import Any

from testkit.client import text_of
from testkit.load import PROGRESS_INTERVAL, connected, describe


@dataclass
class Seen:
    """One session: the replicas that answered, in order, and the failures."""

    replicas: list[str] = field(default_factory=list)
    calls: int = 0
    errors: list[str] = field(default_factory=list)
    ended: bool = False
    stop: asyncio.Event = field(default_factory=asyncio.Event)

    def as_dict(self) -> dict[str, Any]:
        """The session as JSON values."""
        return {"replicas": self.replicas, "calls": self.calls, "errors": self.errors, "ended": self.ended}


async def run(url: str, count: int, interval: float) -> None:
    """Open `count` sessions and call in each every `interval` seconds."""
    sessions = {f"s{number}": Seen() for number in range(count)}
    tasks = [asyncio.create_task(live(url, seen, interval)) for seen in sessions.values()]
    listening = asyncio.create_task(listen(sessions))
    while not all(task.done() for task in tasks):
        show(sessions)
        await asyncio.wait(tasks, timeout=PROGRESS_INTERVAL)
        await asyncio.sleep(PROGRESS_INTERVAL)
    show(sessions)
    listening.cancel()


def show(sessions: dict[str, Seen]) -> None:
    """Print one line."""
    print(json.dumps({name: seen.as_dict() for name, seen in sessions.items()}), flush=True)


async def listen(sessions: dict[str, Seen]) -> None:
    """Take orders from standard input."""
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        for name in line.decode().split()[1:]:
            sessions[name].stop.set()
    for seen in sessions.values():
        seen.stop.set()


async def live(url: str, seen: Seen, interval: float) -> None:
    """Call in one session until stopped."""
    try:
        async with connected(url, "legacy") as client:
            while not seen.stop.is_set():
                replica = text_of(await client.call_tool("whoami", {}))
                seen.calls += 1
                if seen.replicas[-1:] != [replica]:
                    seen.replicas.append(replica)
                try:
                    await asyncio.wait_for(seen.stop.wait(), interval)
                except TimeoutError:
                    pass
    except Exception as error:
        seen.errors.append(describe(error))
    seen.ended = True
