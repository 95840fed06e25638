"""Local servers of a gateway with several workers: the supervisor runs their programs once, and the workers reach them
through the same socket files.

A worker tells that it uses the programs of a pool, and that it no longer does. They run from the first use on, as long
as a worker uses them or the configuration has them. So they outlive a worker that is killed or replaced, with their
sessions.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec

from mcppool.observe.logs import get_logger
from mcppool.spec import PoolSpec, Snapshot
from mcppool.supervision import guard, supervise
from mcppool.upstream.stdio.replicas import start_key

if TYPE_CHECKING:  # loaded only if a pool has local servers
    from mcppool.upstream.stdio.servers import StdioServers

EVERY: Final = 1.0
"""Seconds after which the workers learn of changed counts."""

OF_PROGRAMS: Final = frozenset({"use_programs", "leave_programs", "restart_program", "attended"})
"""News of workers about them."""

Tell = Callable[..., None]
"""Called with the number of a worker, the name of the news and its arguments."""

log = get_logger("workers")


class _Running:
    """The programs of one pool with the settings of one start."""

    def __init__(self, key: str, directory: Path, tell: Tell) -> None:
        self.users: dict[int, set[str]] = {}
        """The workers, each with the sessions whose clients are connected to it."""
        self.ending: asyncio.Task[None] | None = None
        self._key = key
        self._directory = directory
        self._tell = tell
        self._pool = ""
        self._servers: StdioServers | None = None
        self._told: dict[str, Any] = {}  # the last state of each replica
        self._last: dict[str, tuple[str, str]] = {}  # whether each replica has started, as the last event said

    @property
    def run(self) -> bool:
        """Whether the programs run."""
        return self._servers is not None

    def start(self, spec: PoolSpec) -> None:
        """Run the programs."""
        from mcppool.upstream.stdio.servers import StdioServers  # here, because few gateways need this module

        self._directory.mkdir()
        self._pool = spec.name
        attended = (lambda _id: False) if spec.local.behind_gateways else self._attended
        self._servers = servers = StdioServers(spec, self._event, attended=attended, directory=self._directory)
        for name in servers.missing:
            log.event("variable_missing", pool=spec.name, variable=name, detail="env_from names it, and it is not set")

    def configure(self, spec: PoolSpec) -> None:
        """Apply changed settings."""
        if self._servers is not None:
            self._servers.configure(spec)

    def introduce(self, worker: int) -> None:
        """Tell a worker what the others know."""
        for url, state in self._told.items():
            self._tell(worker, "program_state", self._key, url, state)
        for url, (what, detail) in self._last.items():
            self._tell(worker, "program_event", self._key, url, what, detail, False)

    def restart(self, url: str, first: int) -> None:
        """A worker takes the first process of a replica for hung; it is another one if the replica was restarted
        meanwhile."""
        state = self._servers.state(url) if self._servers is not None else None
        if self._servers is not None and state is not None and state.first == first:
            self._servers.restart(url)

    def tell_changes(self) -> None:
        """Tell the workers the states that have changed."""
        if self._servers is None:
            return
        for endpoint in self._servers.endpoints:
            state = msgspec.to_builtins(self._servers.state(endpoint.url))
            if state != self._told.get(endpoint.url):
                self._told[endpoint.url] = state
                for worker in self.users:
                    self._tell(worker, "program_state", self._key, endpoint.url, state)

    async def stop(self) -> None:
        """End the programs."""
        servers, self._servers = self._servers, None
        self._told.clear()
        self._last.clear()
        if servers is not None:
            await servers.stop()
            self._directory.rmdir()

    def _attended(self, session: str) -> bool:
        return any(session in connected for connected in self.users.values())

    def _event(self, url: str, what: str, detail: str) -> None:
        log.event(f"server_{what}", pool=self._pool, endpoint=url, detail=detail)
        if what in ("started", "failed"):
            self._last[url] = what, detail
        self.tell_changes()
        for number, worker in enumerate(self.users):
            self._tell(worker, "program_event", self._key, url, what, detail, number == 0)


class SharedPrograms:
    """The programs of all pools. `directory` is made when the first ones start; it has the sockets of each pool in a
    directory of its own, named by `start_key`."""

    def __init__(self, directory: Path, tell: Tell) -> None:
        self._directory = directory
        self._tell = tell
        self._specs: dict[str, PoolSpec] = {}
        self._running: dict[str, _Running] = {}
        self._watch: asyncio.Task[None] | None = None

    def configure(self, snapshot: Snapshot) -> None:
        """Apply a configuration: programs that it has no more end when no worker uses them."""
        self._specs = {start_key(pool): pool for pool in snapshot.pools if pool.command}
        for key, running in list(self._running.items()):
            if key in self._specs:
                running.configure(self._specs[key])
            self._settle(key, running)

    def hear(self, worker: int, news: str, arguments: list[Any]) -> None:
        """A worker tells something about the programs of a pool."""
        key, *rest = arguments
        if news == "use_programs":
            self._use(worker, key)
        elif key not in self._running:
            return
        elif news == "leave_programs":
            self._leave(worker, key)
        elif news == "restart_program":
            self._running[key].restart(*rest)
        elif news == "attended" and worker in self._running[key].users:
            session, present = rest
            connected = self._running[key].users[worker]
            (connected.add if present else connected.discard)(session)

    def gone(self, worker: int) -> None:
        """A worker has ended."""
        for key in list(self._running):
            self._leave(worker, key)

    async def stop(self) -> None:
        """End all programs."""
        self._specs = {}
        for key, running in list(self._running.items()):
            running.users.clear()
            self._settle(key, running)
        await asyncio.gather(*(running.ending for running in self._running.values() if running.ending is not None))
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.gather(self._watch, return_exceptions=True)
            self._directory.rmdir()

    # --- inside --------------------------------------------------------------------------------------------------

    def _use(self, worker: int, key: str) -> None:
        running = self._running.get(key)
        if running is None:
            running = self._running[key] = _Running(key, self._directory / key, self._tell)
        running.users.setdefault(worker, set())
        self._settle(key, running)
        running.introduce(worker)

    def _leave(self, worker: int, key: str) -> None:
        running = self._running[key]
        running.users.pop(worker, None)
        self._settle(key, running)

    def _settle(self, key: str, running: _Running) -> None:
        """Start or end the programs of a pool. A worker may know a configuration before the supervisor does; then they
        start with the latter."""
        if running.ending is not None:
            return
        if running.run and not running.users and key not in self._specs:
            running.ending = guard("shutdown", self._end(key, running), about="local servers")
        elif not running.run and running.users and key in self._specs:
            self._begin()
            running.start(self._specs[key])
        elif not running.run and not running.users:
            del self._running[key]

    def _begin(self) -> None:
        if self._watch is None:
            os.mkdir(self._directory, 0o700)
            self._watch = supervise("local servers", self._keep_telling)

    async def _keep_telling(self) -> None:
        while True:
            await asyncio.sleep(EVERY)
            for running in self._running.values():
                running.tell_changes()

    async def _end(self, key: str, running: _Running) -> None:
        await running.stop()
        running.ending = None
        self._settle(key, running)  # a worker may want them again
