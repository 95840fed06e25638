"""The reports of a source, in order, and a bounded wait for more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from mcppool.discovery.source import Source
from mcppool.spec import ConfigError, EndpointSpec, PoolSpec, Snapshot, render_snapshot


class Recorder:
    """Records the snapshots and refusals of a source."""

    def __init__(self) -> None:
        self.published: list[Snapshot] = []
        self.refused: list[ConfigError] = []
        self.log = Events()

    def publish(self, snapshot: Snapshot) -> None:
        self.published.append(snapshot)

    def refuse(self, error: ConfigError) -> None:
        self.refused.append(error)

    @property
    def said(self) -> tuple[int, int]:
        """How many snapshots were published, and how many refused."""
        return len(self.published), len(self.refused)

    async def until(self, published: int, refused: int = 0, seconds: float = 60.0) -> None:
        """Wait until so many were published and refused, and no longer than `seconds`."""
        await until(lambda: self.said >= (published, refused), seconds)
        assert self.said == (published, refused)


class Events:
    """A log: its lines, as text."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def event(self, event: str, /, **fields: object) -> None:
        self.lines.append(" ".join([event, *(f"{key}={value}" for key, value in fields.items())]))

    warning = event

    @property
    def text(self) -> str:
        return "\n".join(self.lines)


async def until(condition: Callable[[], bool], seconds: float = 60.0) -> None:
    """Wait until the condition holds, and no longer than `seconds`."""
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.005)


@asynccontextmanager
async def watched(source: Source) -> AsyncIterator[Recorder]:
    """The source at work; an exception of its own fails the test."""
    recorder = Recorder()
    task = asyncio.create_task(source.watch(recorder.publish, recorder.refuse))
    transports = asyncio.get_running_loop()._transports  # type: ignore[attr-defined]  # nothing else knows them all
    try:
        yield recorder
        assert not task.done(), task.exception()
    finally:
        task.cancel()
        await asyncio.wait([task])
        # TLS takes leave of the other side, and a loop that has ended does not wait for that.
        await until(lambda: all(each._sock is None for each in transports.values()))


def snapshot(port: int, term: int = 1, generation: int = 1) -> Snapshot:
    """A snapshot recognised by the port of its one endpoint."""
    endpoint = EndpointSpec(url=f"http://127.0.0.1:{port}/mcp")
    return Snapshot(term=term, generation=generation, pools=(PoolSpec(name="search", endpoints=(endpoint,)),))


def text(port: int, term: int = 1, generation: int = 1) -> str:
    """Such a snapshot as the operator publishes it."""
    return render_snapshot(snapshot(port, term, generation))


def port(of: Snapshot) -> int:
    """Which one it is."""
    return int(of.pools[0].endpoints[0].url.split(":")[2].split("/")[0])
