"""The running programs of a pool with local servers, in this process or in another one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.upstream.stdio.slot_state import SlotState


class OnProgramEvent(Protocol):
    """Called with the key of a local server's endpoint, the event and a text about it. `shown`: this process has it on
    its status page, and no other process has."""

    def __call__(self, key: str, what: str, detail: str, *, shown: bool) -> None:
        """Take an event."""
        ...


class Programs(Protocol):
    """See `StdioServers`, which runs them in this process."""

    @property
    def endpoints(self) -> Sequence[EndpointSpec]:
        """One for each replica."""
        ...

    @property
    def missing(self) -> Sequence[str]:
        """Variables that `env_from` names and that are not set."""
        ...

    def configure(self, spec: PoolSpec) -> None:
        """Apply changed settings; running processes go on."""
        ...

    def path(self, key: str) -> str | None:
        """The socket file of an endpoint."""
        ...

    def trouble(self, key: str) -> Callable[[], str]:
        """The reason why an endpoint's program does not run; empty while it does."""
        ...

    def state(self, key: str) -> SlotState | None:
        """The visible state of an endpoint's processes."""
        ...

    def restart(self, key: str) -> bool:
        """End the first process of a replica, which hangs, and start another one; returns whether calls of clients may
        have gone there, too."""
        ...

    async def stop(self) -> None:
        """End all processes, unless another worker uses them."""
        ...
