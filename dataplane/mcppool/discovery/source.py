"""Where a gateway's configuration comes from."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from mcppool.spec import ConfigError, Snapshot

Publish = Callable[[Snapshot], None]
"""Takes a snapshot into force."""

Refuse = Callable[[ConfigError], None]
"""Is told of a configuration that was not taken; the last good one stays in force."""


class EventLog(Protocol):
    """Takes the events of a source: a logger of `mcppool.observe.logs`, which this layer does not import."""

    def event(self, event: str, /, **fields: object) -> None:
        """What happened."""
        ...

    def warning(self, event: str, /, **fields: object) -> None:
        """What somebody should look at."""
        ...


class Source(Protocol):
    """Yields snapshots for as long as it is watched."""

    async def watch(self, publish: Publish, refuse: Refuse) -> None:
        """Run until cancelled. What is known at the start is published, or refused, before anything is waited for."""
        ...

    def reload(self) -> None:
        """Read the configuration again now, and report what it says even where nothing has changed (SIGHUP)."""
        ...
