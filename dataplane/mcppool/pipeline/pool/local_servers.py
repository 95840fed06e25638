"""The local programs that serve as a pool's servers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic

from mcppool.observe.logs import get_logger
from mcppool.observe.recent_events import RecentEvents
from mcppool.pipeline.endpoints import Endpoints
from mcppool.pipeline.peers import Peers
from mcppool.pipeline.programs import Programs
from mcppool.pipeline.sessions.attendance import Attendance
from mcppool.policy.memory_budget import MemoryAccount
from mcppool.spec import EndpointSpec, PoolSpec
from mcppool.upstream.endpoint import Endpoint
from mcppool.upstream.stdio.slot_state import SlotState

SHOWN = frozenset({"ended", "failed", "unreadable", "refused"})
"""Events that the status page shows."""

log = get_logger("pool")


@dataclass(frozen=True, slots=True)
class Watch:
    """How a pool checks its endpoints: `unwatched` tells that an endpoint has never been checked, `begin` starts the
    checks."""

    unwatched: Callable[[Endpoint], bool]
    begin: Callable[[Endpoint], None]


class LocalServers:
    """Starts the programs of one pool, and reports their events.

    `sole_client` is the `clientInfo` of the only client, if the program that runs the pool is that client; otherwise
    `attendance` has the sessions of connected clients. With `peers`, the programs run once for all processes of the
    gateway, and the process that runs them logs their events.
    """

    def __init__(
        self,
        spec: PoolSpec,
        endpoints: Endpoints,
        recent: RecentEvents,
        watch: Watch,
        account: MemoryAccount,
        *,
        sole_client: Mapping[str, str] | None,
        attendance: Attendance | None,
        peers: Peers | None,
    ) -> None:
        self._name = spec.name
        self._endpoints = endpoints
        self._recent = recent
        self._watch = watch
        self._servers: Programs
        if peers is not None:
            self._servers = peers.programs(spec, self._learn, attendance)
            return
        from mcppool.upstream.stdio.servers import StdioServers  # here, because few pools need this module

        self._servers = StdioServers(
            spec,
            self._event,
            sole_client=sole_client,
            attended=_attended(spec, attendance),
            account=account,
        )
        for name in self._servers.missing:
            log.event("variable_missing", pool=self._name, variable=name, detail="env_from names it, and it is not set")

    @property
    def endpoints(self) -> Sequence[EndpointSpec]:
        """One for each replica."""
        return self._servers.endpoints

    def configure(self, spec: PoolSpec) -> None:
        """Apply changed settings; running processes go on."""
        self._servers.configure(spec)

    def path(self, key: str) -> str | None:
        """The socket file of an endpoint."""
        return self._servers.path(key)

    def trouble(self, key: str) -> Callable[[], str]:
        """The reason why an endpoint's program does not run; empty while it does."""
        return self._servers.trouble(key)

    def state(self, endpoint: Endpoint) -> SlotState | None:
        """The state of an endpoint's processes."""
        return self._servers.state(endpoint.key)

    def restart(self, endpoint: Endpoint) -> bool:
        """End the first process of a replica, which hangs, and start another one; returns whether calls of clients may
        have gone there, too."""
        return self._servers.restart(endpoint.key)

    async def stop(self) -> None:
        """End all processes."""
        await self._servers.stop()

    def _event(self, key: str, what: str, detail: str) -> None:
        log.event(f"server_{what}", pool=self._name, endpoint=key, detail=detail)
        self._learn(key, what, detail, shown=True)

    def _learn(self, key: str, what: str, detail: str, *, shown: bool) -> None:
        """An event of a program: `shown` says whether the status page of this process has it."""
        if shown and what in SHOWN:
            self._recent.add(key, what, detail, datetime.now(UTC))
        if what == "failed":
            self._endpoints.not_started[key] = detail
        elif what == "started":
            self._endpoints.not_started.pop(key, None)
        endpoint = self._endpoints.get(key)
        if endpoint is None or what not in ("started", "failed"):
            return
        if self._watch.unwatched(endpoint):
            self._watch.begin(endpoint)
        elif what == "started":
            endpoint.health.process_restarted(monotonic())
            endpoint.wake_prober()


def _attended(spec: PoolSpec, attendance: Attendance | None) -> Callable[[str], bool]:
    """Return a function that tells whether the client of a session is connected."""
    if spec.local.behind_gateways:
        return lambda _id: False
    if attendance is None:  # a program that runs the pool is connected as long as the pool exists
        return lambda _id: True
    return attendance.__contains__
