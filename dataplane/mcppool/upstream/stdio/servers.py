"""The replicas of a pool whose server is a local program."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from mcppool.policy.memory_budget import MemoryAccount
from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.spec.pool import DEFAULT_REPLICAS
from mcppool.upstream.stdio.environment import environment_for
from mcppool.upstream.stdio.era import EraFinding
from mcppool.upstream.stdio.launcher import Launcher
from mcppool.upstream.stdio.quota import Quota
from mcppool.upstream.stdio.slot import Shared, Slot, SlotState

OnEvent = Callable[[str, str, str], None]
"""Called with the endpoint's key, the event, and a text about it."""

HOST = "stdio.invalid"  # RFC 6761: no such host exists, so nothing is ever looked up or reached by mistake


class StdioServers:
    """One slot for each replica, in a directory that only this user can enter.

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
    ) -> None:
        self.spec = spec
        self.quota = Quota(
            spec.local.max_processes, spec.local.max_processes_per_client, partial(on_event, "", "refused")
        )
        environment, self.missing = environment_for(spec.env, spec.env_from, os.environ)
        self._launcher = Launcher()
        self._directory = tempfile.TemporaryDirectory(prefix="mcppool-")
        count = spec.replicas or DEFAULT_REPLICAS
        self.endpoints = tuple(
            EndpointSpec(url=f"http://{spec.name}-{index}.{HOST}/mcp", host="localhost") for index in range(count)
        )
        shared = Shared(
            lambda: self.spec, self._launcher, self.quota, EraFinding(), environment, sole_client, attended, account
        )
        self._slots = {
            e.url: Slot(Path(self._directory.name) / str(i), shared, partial(on_event, e.url))
            for i, e in enumerate(self.endpoints)
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
        self._directory.cleanup()
