"""Which configuration the gateways have: asked of each ready pod on its admin port (`/configz`).

Every second while they take up what is published, once a minute when they agree. The data plane never
writes to the API server; this is how the control plane learns.
"""

from __future__ import annotations

import asyncio
import datetime
import json
import logging
import time
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final

import aiohttp

from mcppool_operator.api import TRANSIENT, ApiError, KubeApi, Object
from mcppool_operator.children import ADMIN_PORT, MANAGED_BY, Owner
from mcppool_operator.deletion_cost import DeletionCosts, Load
from mcppool_operator.queue import WorkQueue
from mcppool_operator.resources import POD
from mcppool_operator.sealing import SETTLED, UNSETTLED, KeyKeeper
from mcppool_operator.status import Sync
from mcppool_operator.triggers import key_of, split_key

log = logging.getLogger(__name__)

FIRST_LOOK: Final = 0.25
"""Seconds that a new configuration has to reach the gateways before they are asked for it."""

OUT_OF_STEP: Final = 1.0
PATIENCE: Final = 60.0
LONG_OUT_OF_STEP: Final = 15.0
"""Seconds between looks at gateways that have been out of step for longer than PATIENCE: they are broken, not late."""

IN_STEP: Final = 60.0
SESSIONS_CHANGE: Final = 10.0
"""Seconds between looks while the numbers of sessions at the servers that the operator runs are changing."""

TIMEOUT: Final = 2.0
AT_ONCE: Final = 32
"""Most gateways of one pool that are asked at the same time."""

STUCK: Final = 60.0
"""Seconds after which a gateway that has not started is no longer merely starting."""

LONGEST_CAUSE: Final = 200

MAX_ANSWER: Final = 64 * 1024
"""Bytes of an answer that are read; a longer one counts as none. A pod with a gateway's labels may be anyone's."""

MAX_LOAD: Final = 1024 * 1024
"""The same of what a gateway says of each server."""


Answers = tuple[Mapping[str, Any] | None, Mapping[str, Any] | None]
"""What a gateway says of its configuration, and of its health."""


@dataclass(frozen=True, slots=True)
class _Expectation:
    hash: str
    owner: Owner
    since: float = field(compare=False)


class Prober:
    """Asks gateways for their configuration, and tells when the answer is another one than before."""

    def __init__(self, api: KubeApi, session: aiohttp.ClientSession, changed: Callable[[str], None]) -> None:
        self._api = api
        self._session = session
        self._changed = changed
        self.keeper = KeyKeeper(api)
        self._costs = DeletionCosts(api)
        self._busy: set[str] = set()  # pools whose servers had another number of sessions than at the look before
        self._expected: dict[str, _Expectation] = {}
        self._seen: dict[str, Sync] = {}
        self.queue = WorkQueue("look")

    def expect(self, key: str, config_hash: str, owner: Owner) -> Sync | None:
        """Say which configuration a pool's gateways should have, and look at once; returns what is known so far."""
        expectation = _Expectation(config_hash, owner, time.monotonic())
        if self._expected.get(key) == expectation:
            self.queue.add(key)
        else:
            # What was seen of another configuration says nothing about this one.
            self._seen.pop(key, None)
            self._expected[key] = expectation
            self.queue.add(key, FIRST_LOOK)
        return self._seen.get(key)

    def forget(self, key: str) -> None:
        """Drop a pool that is gone."""
        self._expected.pop(key, None)
        self._seen.pop(key, None)
        self._busy.discard(key)
        self.keeper.forget(*split_key(key))

    async def look(self, key: str) -> float | None:
        """Ask the gateways of a pool; returns after how many seconds to ask again."""
        expectation = self._expected.get(key)
        if expectation is None:
            return None
        sync = await self._look(expectation)
        if self._expected.get(key) != expectation:
            return 0.0
        if self._seen.get(key) != sync:
            self._seen[key] = sync
            self._changed(key)
        if (
            sync.error is None
            and sync.ready == sync.synced
            and not (sync.waiting or sync.servers_waiting or sync.nobody_answers)
        ):
            return SESSIONS_CHANGE if key in self._busy else IN_STEP
        return OUT_OF_STEP if time.monotonic() - expectation.since < PATIENCE else LONG_OUT_OF_STEP

    async def _look(self, expectation: _Expectation) -> Sync:
        owner = expectation.owner
        try:
            labels = f"app.kubernetes.io/instance={owner.name},{MANAGED_BY}"
            everything = await self._api.list(POD, owner.namespace, labels=labels)
        except (ApiError, *TRANSIENT) as error:
            return Sync(error=str(error) or repr(error))
        pods = [pod for pod in everything if has_labels(pod, owner.selector)]
        servers = [pod for pod in everything if has_labels(pod, owner.server_selector)]
        try:
            await self.keeper.look(owner, UNSETTLED if any(map(is_waiting, pods)) else SETTLED)
        except (ApiError, *TRANSIENT) as error:
            log.debug(  # the next reconcile says it in the pool's status
                "the sealing keys could not be made",
                extra={"pool": key_of(owner.namespace, owner.name), "error": str(error)},
            )
        ready = [pod for pod in pods if is_ready(pod)]
        limit = asyncio.Semaphore(AT_ONCE)
        answers = await asyncio.gather(*(self._ask(pod, limit) for pod in ready))
        names = [pod["metadata"]["name"] for pod in ready]
        sync = compare(expectation.hash, {pod: config for pod, (config, _) in zip(names, answers, strict=True)})
        await self._weigh(owner, servers, ready)
        felt = [felt_health(health, owner.name) for _, health in answers]
        return replace(
            sync,
            # What their clients feel: only where all of them say so, and say the same of the pool.
            nobody_answers=next(iter(felt), None) if all(felt) else None,
            waiting=_waiting(pods),
            stuck=any(age(pod, time.time()) > STUCK for pod in pods if waits_for(pod)),
            servers_waiting=_waiting(servers),
        )

    async def _weigh(self, owner: Owner, servers: list[Object], gateways: list[Object]) -> None:
        """Keep the deletion costs of the servers that the operator runs in step with their sessions."""
        key = key_of(owner.namespace, owner.name)
        if len(servers) < 2:
            self._busy.discard(key)
            return
        loads = await asyncio.gather(*map(self._load, gateways))
        if None in loads or not loads:
            return  # half of the numbers would send the wrong pod away
        changed = await self._costs.keep(owner.name, servers, [load for load in loads if load is not None])
        (self._busy.add if changed else self._busy.discard)(key)

    async def _load(self, pod: Mapping[str, Any]) -> Load | None:
        try:
            async with asyncio.timeout(TIMEOUT):
                return await ask(self._session, admin_url(pod, "/load"), most=MAX_LOAD)
        except TRANSIENT:
            return None

    async def _ask(self, pod: Mapping[str, Any], limit: asyncio.Semaphore) -> Answers:
        try:
            async with limit, asyncio.timeout(TIMEOUT):
                config = await ask(self._session, configz_url(pod))
                health = await ask(self._session, admin_url(pod, "/health"), (200, 503)) if config else None
                return config, health
        except TRANSIENT:
            return None, None


def new_session() -> aiohttp.ClientSession:
    """Return a session for asking pods: no proxy, no cookies, and answers stay as compressed as they come."""
    return aiohttp.ClientSession(trust_env=False, auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar())


async def ask(
    session: aiohttp.ClientSession, url: str, statuses: Collection[int] = (200,), most: int = MAX_ANSWER
) -> Mapping[str, Any] | None:
    """Return the JSON object at `url`; None for anything else: a redirect, an encoded or a long body, no JSON.

    Raises what a call raises that gets no answer (`TRANSIENT`).
    """
    headers = {"Accept": "application/json", "Accept-Encoding": "identity"}
    async with session.get(url, allow_redirects=False, headers=headers) as response:
        if response.status not in statuses or response.headers.get("Content-Encoding", "identity") != "identity":
            return None
        body = bytearray()
        async for chunk in response.content.iter_any():
            body += chunk
            if len(body) > most:
                return None
    try:
        answer = json.loads(bytes(body))
    except (ValueError, RecursionError):
        return None
    return answer if isinstance(answer, Mapping) else None


def compare(expected: str, answers: Mapping[str, Mapping[str, Any] | None]) -> Sync:
    """Return how many of the ready pods have the configuration of this hash, and what the others say. Pure."""
    synced = [pod for pod, answer in answers.items() if answer and answer.get("hash") == expected]
    return Sync(
        ready=len(answers),
        synced=len(synced),
        rejected=tuple(sorted(pod for pod, answer in answers.items() if answer and _refused(answer) == expected)),
        silent=tuple(sorted(pod for pod, answer in answers.items() if answer is None)),
    )


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Say whether a pod takes calls: Ready, and not on its way out."""
    if pod["metadata"].get("deletionTimestamp") or not pod.get("status", {}).get("podIP"):
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())


def waits_for(pod: Mapping[str, Any]) -> str | None:
    """Return what a pod that is not ready waits for; None where it waits for nothing. Pure."""
    status = pod.get("status", {})
    if pod["metadata"].get("deletionTimestamp") or is_ready(pod):
        return None
    for container in (*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())):
        state = container.get("state") or {}
        if waiting := state.get("waiting"):
            return _words(waiting.get("reason") or "Waiting", waiting.get("message"))
        if ended := state.get("terminated"):
            return _words(
                ended.get("reason") or "Terminated", ended.get("message") or f"exit code {ended.get('exitCode')}"
            )
    for condition in status.get("conditions") or ():
        if condition["type"] == "PodScheduled" and condition["status"] == "False":
            return _words(condition.get("reason") or "Unschedulable", condition.get("message"))
    return "not ready" if status.get("containerStatuses") else "Pending"


def _waiting(pods: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(sorted(f"{pod['metadata']['name']}: {cause}" for pod in pods if (cause := waits_for(pod))))


def has_labels(pod: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Say whether a pod has all these labels."""
    return labels.items() <= (pod["metadata"].get("labels") or {}).items()


def _words(reason: str, message: str | None) -> str:
    return f"{reason} ({message[:LONGEST_CAUSE]})" if message else str(reason)


def age(pod: Mapping[str, Any], now: float) -> float:
    """Return for how many seconds a pod has been there; 0 where it does not say."""
    created = pod["metadata"].get("creationTimestamp")
    return now - datetime.datetime.fromisoformat(created).timestamp() if created else 0.0


def is_waiting(pod: Mapping[str, Any]) -> bool:
    """Say whether a pod has not started any container yet."""
    return str(pod.get("status", {}).get("phase", "Pending")) == "Pending"


def configz_url(pod: Mapping[str, Any]) -> str:
    """Return where a gateway pod tells its configuration."""
    return admin_url(pod, "/configz?settings=none")


def admin_url(pod: Mapping[str, Any], path: str) -> str:
    """Return where a gateway pod answers. The port is the operator's choice: a pod that names another is not asked."""
    address = pod["status"]["podIP"]
    return f"http://{f'[{address}]' if ':' in address else address}:{ADMIN_PORT}{path}"


def felt_health(health: Mapping[str, Any] | None, pool: str) -> str | None:
    """Return why a gateway can answer nobody of a pool, by its own word; None where it can, or does not say. Pure."""
    components = (health or {}).get("components")
    component = components.get(f"pool {pool}") if isinstance(components, Mapping) else None
    if not isinstance(component, Mapping) or component.get("status") != "unhealthy":
        return None
    return str(component.get("message") or "no reason is given")[:LONGEST_CAUSE]


def _refused(answer: Mapping[str, Any]) -> str | None:
    rejected = answer.get("rejected")
    return rejected.get("hash") if isinstance(rejected, Mapping) else rejected
