"""One gateway process: puts snapshots into force, and serves them until it is told to stop."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any

from mcppool.access.inbound import InboundAuth
from mcppool.discovery.dns import DnsSource
from mcppool.discovery.source import Source
from mcppool.discovery.zone import own_zone
from mcppool.gateway.admin_port import AdminPort, open_admin_port
from mcppool.gateway.allowed_hosts import AllowedHosts
from mcppool.gateway.authentication import Authentication
from mcppool.gateway.component_health import component_health, memory_health
from mcppool.gateway.config_history import ConfigHistory
from mcppool.gateway.fixed_settings import changed_for_a_process
from mcppool.gateway.history_keeper import HistoryKeeper
from mcppool.gateway.http.listener import Listener
from mcppool.gateway.http.tls import Certificate
from mcppool.gateway.listen_hosts import is_in_pod, listen_hosts
from mcppool.gateway.memory import MemoryWatch
from mcppool.gateway.pool_view import pool_view
from mcppool.gateway.preflight import preflight
from mcppool.gateway.readiness import answering, readiness
from mcppool.gateway.router import Router
from mcppool.gateway.sealing_keys import SealingKeys
from mcppool.gateway.worker_setup import WorkerSetup
from mcppool.gateway.workload import workload_body
from mcppool.observe import logs
from mcppool.observe.history.history import History
from mcppool.observe.history.slots import GatewaySlot
from mcppool.observe.metrics import GatewayMetrics
from mcppool.observe.since import StatusTimes
from mcppool.observe.views import ComponentHealth, ConfigChangeView, ConfigView, PoolView, RejectedConfig
from mcppool.pipeline.pool.pool import ServerPool
from mcppool.policy.memory_budget import MemoryBudget
from mcppool.spec import ConfigError, Snapshot
from mcppool.spec.address import with_port
from mcppool.spec.advice import advice
from mcppool.spec.explain import settings_of
from mcppool.supervision import guard, supervise
from mcppool.wire.sealing import KeyRing

if TYPE_CHECKING:
    from mcppool.observe.other_gateways import Merge
    from mcppool.observe.pages import OwnPages

log = logs.get_logger("gateway")


class Gateway:
    """Runs the snapshots that the source publishes. It is its own `AdminSource`.

    `worker` is what this process has from its supervisor, if it is one of several that share the port.
    """

    def __init__(self, source: Source, worker: WorkerSetup | None = None) -> None:
        self._worker = worker
        self.metrics = GatewayMetrics()
        self.pools: dict[str, ServerPool] = {}
        self.snapshot: Snapshot | None = None
        self.memory = MemoryBudget()
        self._memory_watch = MemoryWatch(self.memory)
        self._source = DnsSource(source)
        self._keys = SealingKeys(worker.keys if worker is not None else None)
        self._auth = Authentication(self.metrics, self._recheck_streams)
        self._latest: Snapshot | None = None  # the newest one published before the start
        self._front: Router | None = None
        self._listener: Listener | None = None
        self._admin: AdminPort | None = None
        self._config = ConfigView()
        self._first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._stopping: set[asyncio.Task[None]] = set()
        self._watcher: asyncio.Task[None] | None = None
        self._key_watcher: asyncio.Task[None] | None = None
        self._config_history = ConfigHistory()
        self._times = StatusTimes()
        self.history = History()
        self.keep_slot: Callable[[GatewaySlot], None] = self.history.add
        """Gets each slot of the history when it ends."""
        self.merge_gateways: Merge | None = None
        """Makes one status page of those of several gateways; None: the pages show this one alone."""
        self._history_keeper: HistoryKeeper | None = None
        self._history_watcher: asyncio.Task[None] | None = None

    @property
    def address(self) -> tuple[str, int]:
        """The address for clients."""
        assert self._listener is not None
        return self._listener.address

    @property
    def admin_port(self) -> int | None:
        """The port of metrics and health, None if it is off."""
        return self._admin.port if self._admin is not None else None

    async def start(self) -> None:
        """Serve the first snapshot. Raises ConfigError if the source has none, OSError if a port is taken."""
        self._watcher = supervise("configuration", self._follow)
        self._watcher.add_done_callback(self._source_ended)
        await self._first
        snapshot = self._latest
        assert snapshot is not None
        host, port = snapshot.listener.host, snapshot.listener.port
        listener = snapshot.listener
        tls = listener.tls
        certificate = Certificate(tls) if tls is not None else None
        hosts = AllowedHosts(host, listener.allowed_hosts, listener.allowed_origins)
        self._front = Router(self.metrics, hosts, self.memory)
        self._listener = Listener(self._front.handle, self.metrics, self.memory, listener)
        self._apply(snapshot)
        self._key_watcher = supervise("sealing keys", partial(self._keys.watch, self._renew_ring))
        worker = self._worker
        if worker is None:
            await self._listener.start(listen_hosts(host, in_pod=is_in_pod(snapshot)), port, certificate)
        else:
            await self._listener.start_on(worker.sockets, certificate)
        if snapshot.metrics.enabled and worker is None:
            self._admin = await open_admin_port(snapshot, self.pages, self._other_gateways, self.merge_gateways)
        self._memory_watch.start()
        if snapshot.metrics.enabled:
            self._history_keeper = HistoryKeeper(
                self.metrics, self.pool_views, lambda slot: self.keep_slot(slot), self.health
            )
            self._history_watcher = supervise("history", self._history_keeper.run)
        self._listener.configure(snapshot.listener)  # its caps are shares of the memory that the watch has found
        log.event("serving", listen=with_port(*self.address), admin_port=self.admin_port, pools=len(self.pools))

    async def stop(self) -> None:
        """Stop accepting, let calls in flight finish within the drain time, and end the rest."""
        watchers = [task for task in (self._watcher, self._key_watcher, self._history_watcher) if task is not None]
        for task in watchers:
            task.cancel()
        await asyncio.gather(*watchers, return_exceptions=True)
        drain = max((pool.spec.timeouts.drain for pool in self.pools.values()), default=0.0)
        log.event("draining", seconds=drain)
        if self._listener is not None:
            await guard("shutdown", self._listener.stop(drain), about="listener")
        stopping = [guard("shutdown", pool.stop(), about=pool.name) for pool in self.pools.values()]
        await asyncio.gather(*stopping, *self._stopping, return_exceptions=True)
        await self._auth.close()
        self._memory_watch.stop()
        if self._history_keeper is not None and self._worker is not None:
            self._history_keeper.take(early=True)  # the supervisor counts it
        if self._admin is not None:
            await self._admin.stop()
        log.event("stopped")

    # --- configuration -------------------------------------------------------------------------------------------

    def publish(self, snapshot: Snapshot) -> None:
        """Apply a snapshot. One that changes a setting which is fixed at start is refused."""
        if self.snapshot is None:
            self._latest = snapshot
            if not self._first.done():
                self._first.set_result(None)
            return
        problems = changed_for_a_process(self.snapshot, snapshot)
        if problems:
            self.refuse(ConfigError(problems), snapshot.hash)
            return
        try:
            self._apply(snapshot)
        except ConfigError as error:
            self.refuse(error, snapshot.hash)

    @property
    def config_attempts(self) -> int:
        """Number of configurations that were applied or refused."""
        return self.metrics.config_loads + self.metrics.config_rejected

    def reload(self) -> None:
        """Make the source read its configuration again, for SIGHUP."""
        log.event("configuration_reload")
        self._source.reload()

    def refuse(self, error: ConfigError, hash: str | None = None) -> None:
        """Report a refused configuration; before the first good one, give up."""
        problems = tuple(str(problem) for problem in error.problems)
        self.metrics.config_rejected += 1
        log.error("configuration_refused", problems=list(problems))
        self._config = ConfigView(
            self._config.hash, self._config.generation, self._config.term, self._config.loaded_at,
            RejectedConfig(problems, datetime.now(UTC), hash),
        )  # fmt: skip
        self._config_history.refused(problems, hash)
        if self.snapshot is None and not self._first.done():
            self._first.set_exception(error)

    def _apply(self, snapshot: Snapshot) -> None:
        """Start new pools, stop removed ones, reconfigure the others; no call in flight is dropped."""
        if problems := preflight(snapshot):
            raise ConfigError(problems)
        prepared = self._auth.prepare(snapshot)
        zone = own_zone(snapshot)
        before = self._keys.in_force
        ring = self._keys.ring(snapshot.listener.sealing_keys, snapshot.listener.accepted_keys)
        logs.configure(snapshot.logging.level, snapshot.logging.format)
        if ring is not before:
            self._renew_ring(ring)
        pools = dict(self.pools)
        wanted = {spec.name: spec for spec in snapshot.pools}
        for name in [n for n in pools if n not in wanted or not pools[n].can_become(wanted[n])]:
            self._retire(pools.pop(name))
        for name, spec in wanted.items():
            if name in pools:
                pools[name].configure(spec)
            else:
                rng = random.Random(snapshot.seed) if snapshot.seed is not None else None
                peers = self._worker.peers(name) if self._worker is not None else None
                pools[name] = ServerPool(spec, self.metrics.pool(name), ring, rng, zone, self.memory, peers=peers)
                pools[name].start()
        self.pools = pools
        self.snapshot = snapshot
        self._auth.apply(prepared, snapshot)
        self._memory_watch.configure(snapshot.limits.memory)
        if self._front is not None:
            self._front.serve_pools(pools, self._auth.pools, self._auth.documents(pools))
        if self._listener is not None:
            self._listener.keep_secret(auth.header for auth in self._auth.pools.values())
            self._listener.configure(snapshot.listener)
        self.metrics.config_loads += 1
        self._config = ConfigView(snapshot.hash, snapshot.generation, snapshot.term, datetime.now(UTC), None)
        self._config_history.applied(self._worker.whole(snapshot) if self._worker is not None else snapshot)
        for sentence in advice(snapshot):
            log.warning("configuration_advice", advice=sentence)
        log.event("configuration_loaded", hash=snapshot.hash, generation=snapshot.generation, pools=len(pools))

    async def _follow(self) -> None:
        """Apply the snapshots of the source. A source that fails before its first snapshot ends the gateway; later it
        is restarted."""
        try:
            await self._source.watch(self.publish, self.refuse)
        except Exception as error:
            if self._first.done():
                raise
            self._first.set_exception(error)

    def _source_ended(self, watcher: asyncio.Task[None]) -> None:
        """A source that ends by itself is a defect; before the first snapshot nothing else would report it."""
        if not self._first.done() and not watcher.cancelled():
            self._first.set_exception(watcher.exception() or RuntimeError("the source of configuration has ended"))

    def _renew_ring(self, ring: KeyRing) -> None:
        """The keys have changed: open and mint sessions with the new ones from now on."""
        self._auth.renew_ring(ring)
        for pool in self.pools.values():
            pool.renew_ring(ring)

    def _recheck_streams(self, auth: InboundAuth) -> None:
        """A credential may no longer hold: end the streams of those that do not."""
        if self._front is not None:
            self._front.streams.recheck(lambda s: s.auth is auth)

    def _retire(self, pool: ServerPool) -> None:
        async def end() -> None:
            await pool.drain()
            await pool.stop()
            if pool.name not in self.pools:
                self.metrics.drop(pool.name)

        task = guard("retired pool", end(), about=pool.name)
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    def _other_gateways(self) -> Sequence[str]:
        """Their addresses, as the configuration in force has them."""
        return self.snapshot.metrics.gateways if self.snapshot is not None else ()

    # --- AdminSource ---------------------------------------------------------------------------------------------

    def ready(self) -> Mapping[str, str]:
        """A pool is ready when it has a catalog, or when each endpoint was checked once (design §1.4)."""
        return readiness(self.pools)

    def answering(self) -> Mapping[str, str]:
        """See `AdminSource`."""
        return answering(self.pools)

    def health(self) -> Mapping[str, ComponentHealth]:
        """The health of each component, as on `/health`."""
        found = {**component_health(self.pools, self._config), "memory": memory_health(self.memory)}
        return self._times.look(found, datetime.now(UTC))

    def zone(self) -> str | None:
        """The zone of this process."""
        return own_zone(self.snapshot) if self.snapshot is not None else None

    def config_changes(self) -> Sequence[ConfigChangeView]:
        """The configurations that were in force, and the refused ones."""
        return self._config_history.newest_first()

    def config(self) -> ConfigView:
        """The configuration in force."""
        return replace(self._config, key_ids=self._keys.ids)

    def settings(self) -> Mapping[str, object]:
        """Every setting in force and its origin."""
        return settings_of(self.snapshot) if self.snapshot is not None else {}

    def public_keys(self) -> list[dict[str, Any]]:
        """The public keys of identity headers, as JWKs, for the servers that verify them."""
        found = {key["kid"]: key for pool in self.pools.values() for key in pool.outbound.public_keys()}
        return list(found.values())

    def pool_views(self) -> list[PoolView]:
        """Each pool at this moment."""
        return [pool_view(pool) for pool in self.pools.values()]

    def workload(self) -> dict[str, Any]:
        """By pool, facts about its tools and its sampled calls."""
        return {name: workload_body(pool) for name, pool in self.pools.items()}

    def pages(self) -> OwnPages:
        """The pages of the admin port. Loads many modules."""
        from mcppool.observe.collector import registry
        from mcppool.observe.pages import OwnPages

        assert self.snapshot is not None
        exposed = self.snapshot.metrics.prometheus_enabled
        made = registry(self.metrics, self.pool_views, self.config, self.memory) if exposed else None
        return OwnPages(self, made)
