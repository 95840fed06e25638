"""The replicas of a pool whose server is a local program."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from mcppool.policy.memory_budget import MemoryAccount
from mcppool.spec import PoolSpec
from mcppool.upstream.stdio.environment import environment_for
from mcppool.upstream.stdio.era import EraFinding
from mcppool.upstream.stdio.launcher import Launcher
from mcppool.upstream.stdio.quota import Quota
from mcppool.upstream.stdio.replicas import endpoints_of, socket_files
from mcppool.upstream.stdio.slot import Shared, Slot
from mcppool.upstream.stdio.slot_state import SlotState

OnEvent = Callable[[str, str, str], None]
"""Called with the endpoint's key, the event, and a text about it."""


class StdioServers:
    """One slot for each replica, in a directory that only this user can enter: `directory`, or a temporary one.

    `sole_client` is the `clientInfo` of the only client, where the program that runs the pool is that client.
    """

    def __init__(
        self,
        spec: PoolSpec,
        on_event: OnEvent,
        *,
        sole_client: Mapping[str, str] | None = None,
        attended: Callable[[str], bool] = lambda _id: False,
        account: MemoryAccount | None = None,
        directory: Path | None = None,
    ) -> None:
        self.spec = spec
        self.quota = Quota(
            spec.local.max_processes, spec.local.max_processes_per_client, partial(on_event, "", "refused")
        )
        environment, self.missing = environment_for(spec.env, spec.env_from, os.environ)
        self._launcher = Launcher()
        self._directory = tempfile.TemporaryDirectory(prefix="mcppool-") if directory is None else None
        folder = directory or Path(self._directory.name if self._directory is not None else "")
        self.endpoints = endpoints_of(spec)
        shared = Shared(
            lambda: self.spec, self._launcher, self.quota, EraFinding(), environment, sole_client, attended, account
        )
        self._slots = {
            url: Slot(file, shared, partial(on_event, url)) for url, file in socket_files(spec, folder).items()
        }

    def configure(self, spec: PoolSpec) -> None:
        """Apply changed settings; running processes go on."""
        self.spec = spec
        self.quota.configure(spec.local.max_processes, spec.local.max_processes_per_client)

    def path(self, key: str) -> str | None:
        """The socket file of an endpoint."""
        slot = self._slots.get(key)
        return str(slot.path) if slot is not None else None

    def trouble(self, key: str) -> Callable[[], str]:
        """The reason why an endpoint's program does not run; empty while it does."""
        state = self._slots[key].state
        return lambda: state.trouble

    def state(self, key: str) -> SlotState | None:
        """The visible state of an endpoint's processes."""
        slot = self._slots.get(key)
        return slot.state if slot is not None else None

    def restart(self, key: str) -> bool:
        """End the first process of a replica, which hangs, and start another one; returns whether calls of clients may
        have gone there, too."""
        return self._slots[key].restart()

    async def stop(self) -> None:
        """End all processes."""
        await asyncio.gather(*(slot.stop() for slot in self._slots.values()))
        await self._launcher.close()
        if self._directory is not None:
            self._directory.cleanup()
