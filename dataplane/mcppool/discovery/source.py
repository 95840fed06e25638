"""The interface of a source of the gateway's configuration."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

from mcppool.spec import ConfigError, Snapshot

Publish = Callable[[Snapshot], None]
"""Puts a snapshot into force."""

Refuse = Callable[[ConfigError], None]
"""Called with the reason when a configuration is refused; the last good one stays in force."""


class EventLog(Protocol):
    """Takes the events of a source: a logger of `mcppool.observe.logs`, which this layer does not import."""

    def event(self, event: str, /, **fields: object) -> None:
        """Log a change."""
        ...

    def warning(self, event: str, /, **fields: object) -> None:
        """Log a problem."""
        ...


async def first_snapshot(source: Source) -> Snapshot:
    """The first snapshot of a source. Raises ConfigError if it refuses its first configuration."""
    found: asyncio.Future[Snapshot] = asyncio.get_running_loop().create_future()

    def publish(snapshot: Snapshot) -> None:
        if not found.done():
            found.set_result(snapshot)

    def refuse(error: ConfigError) -> None:
        if not found.done():
            found.set_exception(error)

    watching = asyncio.create_task(source.watch(publish, refuse))
    watching.add_done_callback(lambda _: found.cancel())
    try:
        return await found
    except asyncio.CancelledError:
        if watching.done() and not watching.cancelled() and (error := watching.exception()) is not None:
            raise error from None
        raise
    finally:
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)


class Source(Protocol):
    """A source of snapshots."""

    async def watch(self, publish: Publish, refuse: Refuse) -> None:
        """Run until cancelled. Publish, or refuse, the first configuration before any wait."""
        ...

    def reload(self) -> None:
        """Read the configuration again now, and report the result even if nothing has changed (SIGHUP)."""
        ...
