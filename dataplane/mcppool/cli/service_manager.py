"""Messages to the service manager that has started the process: systemd's `sd_notify` protocol.

Without `NOTIFY_SOCKET` in the environment nobody listens, and nothing is sent.
"""

from __future__ import annotations

import asyncio
import os
import socket
import time
from collections.abc import Callable

VARIABLE = "NOTIFY_SOCKET"
RELOAD = 30.0  # upper bound in seconds on the time for which a reload is reported
LOOK = 0.05  # seconds between two looks at whether a reload has ended


class ServiceManager:
    """Tells the manager when the gateway serves, reloads and stops."""

    def __init__(self, address: str | None = None) -> None:
        address = os.environ.get(VARIABLE, "") if address is None else address
        self._address = "\0" + address[1:] if address.startswith("@") else address  # @: without a file
        self._status = ""
        self._reload: asyncio.Task[None] | None = None

    def ready(self, status: str) -> None:
        """The gateway serves; `status` is for people."""
        self._status = status
        self._tell("READY=1", f"STATUS={status}")

    def reloading(self, ended: Callable[[], bool]) -> None:
        """A reload has begun. `ended` tells whether it is over."""
        if self._address and self._reload is None:
            self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")
            self._reload = asyncio.create_task(self._until(ended), name="reload")

    async def until_settled(self) -> None:
        """Return when no reload goes on."""
        if self._reload is not None:
            await self._reload

    def stopping(self) -> None:
        """The gateway drains, and ends then."""
        if self._reload is not None:
            self._reload.cancel()
        self._tell("STOPPING=1", "STATUS=draining")

    async def _until(self, ended: Callable[[], bool]) -> None:
        deadline = time.monotonic() + RELOAD
        while not ended() and time.monotonic() < deadline:  # noqa: ASYNC110 (the end of a reload has no event)
            await asyncio.sleep(LOOK)
        self._reload = None
        self.ready(self._status)

    def _tell(self, *lines: str) -> None:
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sender:
            try:
                sender.connect(self._address)
                sender.send("\n".join(lines).encode())
            except OSError:
                pass  # a manager that cannot be reached must not stop the gateway
