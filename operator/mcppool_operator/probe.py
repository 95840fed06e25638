"""The configuration of the gateways, and the causes of pods that do not start.

The operator asks each ready pod on its admin port: every second while the gateways adopt a new snapshot, once a minute
when they agree. The data plane never writes to the API server, so this is the control plane's only source.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp

from mcppool_operator.api import TRANSIENT, KubeApi, KubeError
from mcppool_operator.children import Owner
from mcppool_operator.client_errors import ClientErrors, sessions
from mcppool_operator.deletion_cost import DeletionCosts, Load, coarse
from mcppool_operator.gateways import MAX_LOAD, admin_url, ask, compare, configz_url, felt_health
from mcppool_operator.observed import Sync
from mcppool_operator.pod_store import PodStore
from mcppool_operator.pods import Pod, causes
from mcppool_operator.queue import WorkQueue
from mcppool_operator.sealing import UNSETTLED, KeyKeeper
from mcppool_operator.tool_differences import tool_report
from mcppool_operator.triggers import key_of, pool_of_pod, split_key

log = logging.getLogger(__name__)

FIRST_LOOK: Final = 0.25
"""Seconds that a new configuration has to reach the gateways before they are asked for it."""

OUT_OF_STEP: Final = 1.0
PATIENCE: Final = 60.0
LONG_OUT_OF_STEP: Final = 15.0
"""Seconds between looks at gateways that have been out of step for longer than PATIENCE: they are broken, not late."""

IN_STEP: Final = 60.0
SESSIONS_CHANGE: Final = 10.0
"""Seconds between looks while the numbers of sessions at managed servers are changing."""

TIMEOUT: Final = 2.0
BELIEVED: Final = 3
"""Looks in a row after which a gateway counts as silent, or as out of step: one that is busy for a moment is neither,
nor one that a new configuration is just reaching."""

AT_ONCE: Final = 32
"""Upper bound on the gateways of one pool that are asked at the same time."""

DEBOUNCE: Final = 0.2
"""Seconds that the change of a pod waits for others of the same pool: a rollout changes many of them."""

STARTS: Final = 10.0
"""Seconds that a gateway on a node has to start before missing keys may be the cause."""

STUCK: Final = 60.0
"""Seconds after which a gateway that has not started no longer counts as starting."""

Answer = Mapping[str, Any] | None

Answers = tuple[Answer, Answer, Answer]
"""The answers of a gateway about its configuration, its health, and its load."""


@dataclass(frozen=True, slots=True)
class _Expectation:
    hash: str
    owner: Owner
    key_id: str  # of the sealing key that gateways are about to accept; empty without one
    since: float = field(compare=False)


class GatewayProber:
    """Asks gateways for their configuration, and reports changed answers."""

    def __init__(self, api: KubeApi, session: aiohttp.ClientSession, changed: Callable[[str], None]) -> None:
        self._api = api
        self._session = session
        self._changed = changed
        self.keeper = KeyKeeper(api)
        self._costs = DeletionCosts(api)
        self._errors = ClientErrors()
        self._busy: set[str] = set()  # pools whose servers had another number of sessions at the look before
        self._expected: dict[str, _Expectation] = {}
        self._seen: dict[str, Sync] = {}
        self._pods = PodStore()
        self._misses: dict[str, int] = {}  # looks in a row at which a gateway was silent or out of step
        self.queue = WorkQueue("look")

    def expect(self, key: str, config_hash: str, owner: Owner, *, has_pods: bool, key_id: str = "") -> Sync | None:
        """Set the expected configuration of a pool's gateways, and look at once; returns the known facts so far."""
        if has_pods:
            self._pods.expect(key)
        expectation = _Expectation(config_hash, owner, key_id, time.monotonic())
        if self._expected.get(key) == expectation:
            self.queue.add(key)
        else:
            # Observations of another configuration tell nothing about this one.
            self._seen.pop(key, None)
            self._expected[key] = expectation
            self.queue.add(key, FIRST_LOOK)
        return self._seen.get(key)

    def seen(self, key: str) -> Sync | None:
        """Return the last answers of a pool's gateways, if they are about its expected configuration."""
        return self._seen.get(key)

    def pod_changed(self, pod: Mapping[str, Any], deleted: bool) -> None:
        """Take a pod from the watch, and look at the pods of its pool."""
        key = pool_of_pod(pod)
        if key is not None:
            self._pods.observe(key, pod, deleted=deleted)
            if key in self._expected:
                self.queue.add(key, DEBOUNCE)

    def listed(self) -> None:
        """Note that the watch has shown every pod there is."""
        self._pods.listed()

    def unsure(self) -> None:
        """List all pods again with the next look: a watch has missed something."""
        self._pods.unsure()

    def forget(self, key: str) -> None:
        """Forget a deleted pool."""
        self._expected.pop(key, None)
        self._seen.pop(key, None)
        self._pods.forget(key)
        self._busy.discard(key)
        self._errors.forget(key)
        self._misses.pop(key, None)
        self.keeper.forget(*split_key(key))

    async def look(self, key: str) -> float | None:
        """Ask the gateways of a pool; returns the seconds until the next look."""
        expectation = self._expected.get(key)
        if expectation is None:
            return None
        try:
            pods = await self._pods.read(self._api, expectation.owner)
        except (KubeError, *TRANSIENT) as error:
            pods, sync = (), Sync(error=str(error) or repr(error))
        else:
            sync = await self._look(expectation, pods)
        if self._expected.get(key) != expectation:
            return 0.0
        if sync.silent:
            self._pods.ask(key)  # they may be gone
        if sync.error is None and sync.synced < sync.ready and not sync.rejected:
            misses = self._misses[key] = self._misses.get(key, 0) + 1
            if misses < BELIEVED:
                return OUT_OF_STEP
        else:
            self._misses.pop(key, None)
        if self._seen.get(key) != sync:
            self._seen[key] = sync
            self._changed(key)
        following = _next_look(sync, pods, expectation)
        return min(following, SESSIONS_CHANGE) if key in self._busy else following

    async def _look(self, expectation: _Expectation, everything: tuple[Pod, ...]) -> Sync:
        owner = expectation.owner
        pods = [pod for pod in everything if pod.component == owner.selector["app.kubernetes.io/component"]]
        servers = [pod for pod in everything if pod.component == owner.server_selector["app.kubernetes.io/component"]]
        if any(pod.starting and pod.placed and pod.waits_since(STARTS, time.time()) for pod in pods):
            await self._keep_keys(owner)
        ready = [pod for pod in pods if pod.ready]
        limit = asyncio.Semaphore(AT_ONCE)
        answers = await asyncio.gather(*(self._ask(pod.address, limit) for pod in ready))
        configs = {pod.name: config for pod, (config, _, _) in zip(ready, answers, strict=True)}
        loads = {pod.uid: load for pod, (_, _, load) in zip(ready, answers, strict=True) if load is not None}
        if len(loads) == len(ready):  # half of the numbers would delete the wrong pod
            await self._weigh(owner, servers, loads)
        felt = [felt_health(health, owner.name) for _, health, _ in answers]
        key = key_of(owner.namespace, owner.name)
        return replace(
            compare(expectation.hash, configs),
            # The health that clients see: only if all gateways report the same.
            nobody_answers=next(iter(felt), None) if all(felt) else None,
            waiting=causes(pods),
            stuck=any(pod.waits_since(STUCK, time.time()) for pod in pods),
            servers_waiting=causes(servers),
            failing=self._errors.take(key, owner.name, loads, time.monotonic()),
            sessions=coarse(sessions(owner.name, loads)),
            tools=tool_report(owner.name, loads.values()),
            ending=any(pod.going for pod in pods),
        )

    async def _keep_keys(self, owner: Owner) -> None:
        """Create the Secret with the keys if it is missing: a gateway may wait for it to start."""
        try:
            await self.keeper.look(owner, UNSETTLED)
        except (KubeError, *TRANSIENT) as error:
            log.debug(  # the next reconcile reports it in the pool's status
                "the sealing keys could not be made",
                extra={"pool": key_of(owner.namespace, owner.name), "error": str(error)},
            )

    async def _weigh(self, owner: Owner, servers: list[Pod], loads: Mapping[str, Load]) -> None:
        """Keep the deletion costs of managed servers in step with their sessions."""
        key = key_of(owner.namespace, owner.name)
        if len(servers) < 2 or not loads:
            self._busy.discard(key)
            return
        changed = await self._costs.keep(owner.name, servers, loads.values())
        (self._busy.add if changed else self._busy.discard)(key)

    async def _ask(self, address: str, limit: asyncio.Semaphore) -> Answers:
        try:
            async with limit, asyncio.timeout(TIMEOUT):
                config = await ask(self._session, configz_url(address))
                if config is None:
                    return None, None, None
                health = await ask(self._session, admin_url(address, "/health"), (200, 503))
                return config, health, await ask(self._session, admin_url(address, "/load"), most=MAX_LOAD)
        except TRANSIENT:
            return None, None, None


def _next_look(sync: Sync, pods: tuple[Pod, ...], expected: _Expectation) -> float:
    """Return the seconds until gateways are asked again; changes of pods come in between. Pure except for clocks."""
    keys_wait = expected.key_id != "" and expected.key_id not in sync.key_ids
    if sync.error is not None or sync.ready != sync.synced or sync.nobody_answers or keys_wait:
        return OUT_OF_STEP if time.monotonic() - expected.since < PATIENCE else LONG_OUT_OF_STEP
    starting = [pod for pod in pods if pod.starting and pod.cause is not None]
    if not starting:
        return IN_STEP
    # When the first of them no longer counts as starting; until then, and after it, its keys are kept.
    first = min(pod.created for pod in starting) + STUCK - time.time()
    return min(UNSETTLED, first + OUT_OF_STEP) if first > 0 else IN_STEP
