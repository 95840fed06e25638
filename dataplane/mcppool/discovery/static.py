"""A configuration that never changes, from the command line."""

from __future__ import annotations

import asyncio

from mcppool.discovery.source import Publish, Refuse
from mcppool.spec import Snapshot


class FixedSource:
    """Publishes one snapshot and then nothing."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._publish: Publish | None = None

    async def watch(self, publish: Publish, refuse: Refuse) -> None:  # noqa: ARG002 (a Source's)
        """Publish, then wait to be cancelled."""
        self._publish = publish
        publish(self._snapshot)
        await asyncio.Event().wait()

    def reload(self) -> None:
        """Publish the same snapshot again: the files that it names are read again."""
        if self._publish is not None:
            self._publish(self._snapshot)
