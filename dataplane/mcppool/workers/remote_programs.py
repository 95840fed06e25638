"""A worker's view of local servers, whose programs the supervisor runs (`workers.shared_programs`)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

from mcppool.pipeline.programs import OnProgramEvent
from mcppool.pipeline.sessions.attendance import Attendance
from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.upstream.stdio.replicas import endpoints_of, socket_files, start_key
from mcppool.upstream.stdio.slot_state import SlotState
from mcppool.workers.channel import Channel


class RemotePrograms:
    """The programs of one pool: see `pipeline.programs.Programs`."""

    missing: Sequence[str] = ()  # the supervisor reports them

    def __init__(
        self,
        programs: ProgramLinks,
        spec: PoolSpec,
        on_event: OnProgramEvent,
        attendance: Attendance | None,
    ) -> None:
        self.endpoints: Sequence[EndpointSpec] = endpoints_of(spec)
        self.key = start_key(spec)
        self._programs = programs
        self._on_event = on_event
        self._files = socket_files(spec, programs.directory / self.key)
        self._states = {url: SlotState() for url in self._files}
        if attendance is not None:
            attendance.on_change = self._attended
        programs.add(self)

    def configure(self, spec: PoolSpec) -> None:
        """See `Programs`: the supervisor follows the configuration itself."""

    def path(self, key: str) -> str | None:
        """See `Programs`."""
        file = self._files.get(key)
        return str(file) if file is not None else None

    def trouble(self, key: str) -> Callable[[], str]:
        """See `Programs`."""
        return lambda: self._states[key].trouble

    def state(self, key: str) -> SlotState | None:
        """See `Programs`."""
        return self._states.get(key)

    def restart(self, key: str) -> bool:
        """See `Programs`."""
        state = self._states[key]
        self._programs.channel.tell("restart_program", self.key, key, state.first)
        return not state.apart

    async def stop(self) -> None:
        """See `Programs`."""
        self._programs.remove(self)

    def hear_state(self, url: str, state: SlotState) -> None:
        """The state of a replica has changed."""
        self._states[url] = state

    def hear_event(self, url: str, what: str, detail: str, shown: bool) -> None:
        """Something has happened to a replica."""
        self._on_event(url, what, detail, shown=shown)

    def _attended(self, session: str, present: bool) -> None:
        self._programs.channel.tell("attended", self.key, session, present)


class ProgramLinks:
    """The pools of a worker that have local servers."""

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.directory = Path()
        """Where the supervisor keeps the sockets; set before the first pool."""
        self._pools: dict[str, RemotePrograms] = {}

    def add(self, programs: RemotePrograms) -> None:
        """Use the programs of a pool."""
        self._pools[programs.key] = programs
        self.channel.tell("use_programs", programs.key)

    def remove(self, programs: RemotePrograms) -> None:
        """Use them no more, unless another pool with the same ones has come meanwhile."""
        if self._pools.get(programs.key) is programs:
            del self._pools[programs.key]
            self.channel.tell("leave_programs", programs.key)

    def hear(self, news: str, arguments: list[Any]) -> None:
        """The supervisor tells something about the programs of a pool."""
        key, url, *rest = arguments
        programs = self._pools.get(key)
        if programs is None:
            return
        if news == "program_state":
            programs.hear_state(url, msgspec.convert(rest[0], SlotState))
        else:
            programs.hear_event(url, *rest)
