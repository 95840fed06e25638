"""A pool's connection to a store outside this process, shared by all its features. The store may be gone or slow at any
time.

After one operation that failed or took longer than `timeout` seconds, no call waits for the store until it answers a
check, which the link makes after a back-off. Pending writes that must come first follow right after the check. If the
store fails again soon after a check, the back-off goes on: a store that can only be asked does not come and go.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from functools import partial
from typing import Final, TypeVar

from mcppool.policy.backoff import exponential, full_jitter
from mcppool.wire.sealing import KeyRing
from mcppool.wire.vault import Vault, Vaults

T = TypeVar("T")

REVIVE_BASE: Final = 0.2
REVIVE_MAX: Final = 10.0
"""Upper bound in seconds between two checks while the store is away: full jitter under an exponential back-off."""

MAX_WRITING: Final = 256
MAX_WRITING_BYTES: Final = 16 * 1024 * 1024
"""Upper bound in bytes on writes in the background; above it, optional writes are left out."""


class StoreLink(ABC):
    """Operations on the store that return None instead of raising, and at once while it is away.

    `errors` counts failures by kind (see `kind_of`). `purpose` separates the keys that seal this store's values from
    those of other stores; `vaults` seal the values with the keys of `ring`. `reports` are called once with the reason
    when the store goes away, and once with None when it is back; `trouble` is the latest reason while it is away.
    """

    def __init__(self, purpose: bytes, errors: MutableMapping[str, int], ring: KeyRing, *, timeout: float) -> None:
        self.errors = errors
        self.reports: list[Callable[[str | None], None]] = []
        self.before_use: list[Callable[[], Awaitable[None]]] = []
        self.trouble: str | None = None
        self._purpose = purpose
        self._timeout = timeout
        self._reviving: asyncio.Task[None] | None = None
        self._writing: set[asyncio.Task[None]] = set()
        self._writing_bytes = 0
        self._rng = random.Random()
        self._closed = False
        self._tries = 0
        self._back_at = -REVIVE_MAX
        self.renew_ring(ring)

    @abstractmethod
    def name(self, kind: bytes, key: bytes, vault: Vault | None = None) -> bytes:
        """The name of a key in the store, by the first vault if none is given; it does not reveal `key`."""

    @abstractmethod
    def kind_of(self, error: Exception) -> str:
        """The kind under which a failure is counted: `timeout`, `connection`, `other`."""

    @abstractmethod
    async def check(self) -> None:
        """Ask the store whether it works. Raises the reason if it does not."""

    @abstractmethod
    async def disconnect(self) -> None:
        """Close all connections."""

    def renew_ring(self, ring: KeyRing) -> None:
        """Seal and name with changed keys from now on."""
        self.vaults = Vaults(ring, self._purpose)

    @property
    def writing(self) -> int:
        """Operations that go on in the background."""
        return len(self._writing)

    @property
    def busy(self) -> bool:
        """Whether so much is being written that callers should leave out optional writes."""
        return len(self._writing) >= MAX_WRITING or self._writing_bytes >= MAX_WRITING_BYTES

    async def attempt(self, operation: Callable[[], Awaitable[T]], timeout: float | None = None) -> T | None:
        """The result of the operation. If it fails, or takes longer than `timeout` seconds (by default the link's):
        None, and the store is not used until it works again."""
        if self.trouble is not None:
            return None
        seconds = timeout if timeout is not None else self._timeout
        try:
            async with asyncio.timeout(seconds):
                return await operation()
        except Exception as error:  # any error of the client library: the call goes on without the store
            self._failed(error, seconds)
            return None

    def later(
        self,
        operation: Callable[[], Awaitable[object]],
        order: asyncio.Lock | None = None,
        size: int = 0,
        timeout: float | None = None,
        after: Collection[asyncio.Task[None]] = (),
    ) -> asyncio.Task[None] | None:
        """Do it in the background, unless the store is away: then None. Operations with the same `order` run one after
        another; it begins when those of `after` have ended. `size` is the bytes that wait with it. Before an optional
        write, check `busy`."""
        if self.trouble is not None:
            return None
        task = asyncio.create_task(self._write(operation, order, timeout, after), name="store write")
        self._writing.add(task)
        self._writing_bytes += size
        task.add_done_callback(partial(self._written, size))
        return task

    async def close(self) -> None:
        """Close all connections for good."""
        self._closed = True
        tasks = [*self._writing] if self._reviving is None else [*self._writing, self._reviving]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self.disconnect()

    def _written(self, size: int, task: asyncio.Task[None]) -> None:
        self._writing.discard(task)
        self._writing_bytes -= size

    async def _write(
        self,
        operation: Callable[[], Awaitable[object]],
        order: asyncio.Lock | None,
        timeout: float | None,
        after: Collection[asyncio.Task[None]],
    ) -> None:
        if after:
            await asyncio.wait(after)
        async with order or contextlib.nullcontext():
            await self.attempt(operation, timeout)

    def _failed(self, error: Exception, seconds: float) -> None:
        kind = self.kind_of(error)
        self.errors[kind] = self.errors.get(kind, 0) + 1
        if self.trouble is None and not self._closed:
            self.trouble = self._reason(error, seconds)
            if asyncio.get_running_loop().time() - self._back_at >= REVIVE_MAX:
                self._tries = 0
            self._reviving = asyncio.create_task(self._revive(), name="store")
            self._report()

    def _reason(self, error: Exception, seconds: float) -> str:
        late = self.kind_of(error) == "timeout"
        # On one line: PostgreSQL's errors have hints on lines of their own.
        return f"no answer within {seconds:g} s" if late else " ".join(str(error).split()) or type(error).__name__

    @property
    def _check_timeout(self) -> float:
        """Upper bound in seconds on one check."""
        return self._timeout

    async def _revive(self) -> None:
        while True:
            self._tries += 1
            await asyncio.sleep(max(0.05, full_jitter(exponential(self._tries, REVIVE_BASE, REVIVE_MAX), self._rng)))
            try:
                async with asyncio.timeout(self._check_timeout):
                    await self.check()
                    for prepare in list(self.before_use):
                        await prepare()
            except Exception as error:  # as in `attempt`: nothing may end this task while the store is away
                self.trouble = self._reason(error, self._check_timeout)
                continue
            self.trouble = None
            self._back_at = asyncio.get_running_loop().time()
            self._report()
            return

    def _report(self) -> None:
        for report in list(self.reports):
            report(self.trouble)
