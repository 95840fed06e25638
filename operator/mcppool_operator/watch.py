"""kopf as a source of watches that reconnect, log in and filter on the server's side.

Only `on.event` handlers: they need no finalizer, write no annotation and patch no object. Each records the children of
pools in the store, and reports to the queues the pools that an event may concern.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import os
import random
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, Final

import aiohttp
import kopf
from yarl import URL

from mcppool_operator import metrics
from mcppool_operator.children import MANAGED_BY
from mcppool_operator.children.table import CHILDREN
from mcppool_operator.liveness import Watches
from mcppool_operator.resources import ENDPOINT_SLICE, POD, POOL, SERVICE, Kind
from mcppool_operator.store import Store
from mcppool_operator.triggers import SLICE_SERVICE_LABEL, Index, own_key, owning_pool

DEBOUNCE: Final = 0.1
"""Seconds that an event waits for others about the same pool."""

CHILD_DEBOUNCE: Final = 0.5
"""The same for a pool's own objects, which change in steps: no client waits for them."""

Enqueue = Callable[[str, float, bool], None]
"""Asks for a pool after some seconds; the last argument is whether other pools go first."""

Concerned = Callable[[Mapping[str, Any], bool], Collection[str]]

IDENTITY: Final[Any] = "mcppool-operator"
"""Without peering nobody sees it; but kopf's own guess needs a user name, and a pod's user has none."""

RETRIES: Final = (1.0, 1.0, 2.0, 3.0, 5.0, 8.0)
MAX_RETRY: Final = 15.0


class Patience:
    """Seconds between tries of one request to the API server; endless, because kopf would end after a last one."""

    def __iter__(self) -> Iterator[float]:
        """Begin again with the shortest."""
        for plain in itertools.chain(RETRIES, itertools.repeat(MAX_RETRY)):
            yield plain * random.uniform(0.8, 1.2)


class WatchesFailedError(Exception):
    """kopf has given up; the process must end and be started again."""


@dataclasses.dataclass(frozen=True, slots=True)
class Hearers:
    """The receivers of the watches: for pools to reconcile, and for pods."""

    index: Index
    store: Store
    reconcile: Enqueue
    pod_changed: Callable[[Mapping[str, Any], bool], None]


def watched(children: Collection[Kind]) -> list[Kind]:
    """Return every watched kind; `children` are those of pools."""
    return [*dict.fromkeys((*children, POOL, SERVICE, ENDPOINT_SLICE, POD))]


def registry(hearers: Hearers, children: Collection[Kind], watches: Watches) -> kopf.OperatorRegistry:
    """Return kopf's handlers: one for each watched kind."""
    index = hearers.index
    handlers = kopf.OperatorRegistry()
    kopf.on.login(registry=handlers, id="login", retries=10)(_Login(watches).log_in)
    concerned: dict[Kind, Concerned] = {kind: lambda obj, _: index.child_changed(obj) for kind in children}
    # A Service may be a child, or the source of a pool's endpoints.
    concerned |= {
        POOL: lambda obj, deleted: index.pool_changed(obj, deleted=deleted),
        SERVICE: lambda obj, _: index.service_changed(obj),
        ENDPOINT_SLICE: lambda obj, _: index.slice_changed(obj),
    }
    for kind, asks in concerned.items():
        kept = kind is POOL or kind in children
        _on_event(handlers, kind, _handler(kind, asks, hearers, kept=kept))
    _on_event(handlers, POD, _pod_handler(hearers))
    return handlers


def _on_event(handlers: kopf.OperatorRegistry, kind: Kind, handler: Any) -> None:
    # kopf names the core group by an empty string.
    kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=kind.plural)(handler)


def settings(children: Collection[Kind]) -> kopf.OperatorSettings:
    """Return kopf's settings for watching only."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True  # the Lease decides who leads
    chosen.scanning.disabled = True  # no watches of CRDs and namespaces, and no permission for them
    # kopf keeps a task, with the object, for each object of an event until it is idle for long: at a start, when
    # everything is listed at once, that is most of the memory.
    chosen.watching.chunk_size = 100
    chosen.queueing.idle_timeout = 0.1
    for kind in {*children, POD} - {SERVICE}:
        chosen.watching.label_selectors[kind.group, kind.version, kind.plural] = MANAGED_BY
    chosen.watching.label_selectors[ENDPOINT_SLICE.group, ENDPOINT_SLICE.version, ENDPOINT_SLICE.plural] = (
        SLICE_SERVICE_LABEL
    )
    chosen.networking.connect_timeout = 5
    chosen.networking.request_timeout = 60
    chosen.networking.enforce_retry_after = True
    chosen.networking.error_backoffs = Patience()
    chosen.process.ultimate_exiting_timeout = 20  # below the pod's terminationGracePeriodSeconds
    chosen.persistence.diffbase_storage, chosen.persistence.progress_storage = _NoEssence(), _NoProgress()
    chosen.persistence.finalizer = "mcppool.dev/finalizer"  # unused: no handler needs one
    return chosen


def children_kinds(served: Collection[Kind]) -> list[Kind]:
    """Return the watched kinds of children; `served`: optional ones that the cluster knows."""
    return [child.kind for child in CHILDREN if child.watched and (child.built_in or child.kind in served)]


async def run(
    hearers: Hearers,
    namespaces: tuple[str, ...],
    children: Collection[Kind],
    watches: Watches,
    ready: asyncio.Event,
    stop: asyncio.Event,
) -> None:
    """Watch until `stop` is set; `ready` is set when kopf is up. Raises WatchesFailedError."""
    try:
        await kopf.operator(
            registry=registry(hearers, children, watches),
            settings=settings(children),
            identity=IDENTITY,
            standalone=True,
            clusterwide=not namespaces,
            namespaces=namespaces,
            ready_flag=ready,
            stop_flag=stop,
        )
    except Exception as error:
        # For example 404, after somebody has deleted the CRD of an optional kind: a restart watches the remaining
        # kinds.
        raise WatchesFailedError(f"the watches have failed: {type(error).__name__}: {error}") from None


class _NoEssence(kopf.DiffBaseStorage):
    """Gives kopf nothing to compare: kopf would copy each object for handlers of changes."""

    def build(self, **_: Any) -> Any:
        """Take nothing of an object."""
        return {}

    def fetch(self, **_: Any) -> Any:
        """Return nothing: nothing is stored."""
        return None

    def store(self, **_: Any) -> None:
        """Store nothing."""


class _NoProgress(kopf.ProgressStorage):
    """The same for the progress of handlers: event handlers have none."""

    def fetch(self, **_: Any) -> Any:
        """Return nothing: nothing is stored."""
        return None

    def store(self, **_: Any) -> None:
        """Store nothing."""

    def purge(self, **_: Any) -> None:
        """Remove nothing."""

    def touch(self, **_: Any) -> None:
        """Record nothing."""

    def clear(self, *, essence: Any) -> Any:
        """Return an object unchanged."""
        return essence


def _handler(kind: Kind, concerned: Concerned, hearers: Hearers, *, kept: bool) -> Any:
    async def changed(event: Mapping[str, Any], **_: object) -> None:
        _count(kind)
        obj, deleted = event["object"], event["type"] == "DELETED"
        keys = set(concerned(obj, deleted))
        # The operator's own writes and reads are no news to the pool of the object.
        owner = own_key(obj) if kind is POOL else owning_pool(obj)
        if kept and owner is None:
            hearers.store.drop(kind, obj["metadata"]["namespace"], obj["metadata"]["name"])
        elif kept and owner is not None and not hearers.store.observe(kind, obj, deleted=deleted):
            keys.discard(owner)
        for key in keys:
            # At a start with many pools, the second look at one pool does not delay the first look at the others.
            is_child = key == owner and kind is not POOL
            waits = event["type"] is None or (is_child and not deleted)
            hearers.reconcile(key, CHILD_DEBOUNCE if is_child else DEBOUNCE, waits)

    return changed


def _pod_handler(hearers: Hearers) -> Any:
    async def changed(event: Mapping[str, Any], **_: object) -> None:
        _count(POD)
        hearers.pod_changed(event["object"], event["type"] == "DELETED")

    return changed


def _count(kind: Kind) -> None:
    metrics.EVENTS.labels(kind.plural).inc()
    metrics.LAST_EVENT.labels(kind.plural).set(time.time())


class _Login:
    """Gives kopf its access to the API server, on connections that `watches` observes."""

    SAME = 5.0
    """Seconds that kopf waits for the next try with credentials that the API server has just refused."""

    def __init__(self, watches: Watches) -> None:
        self._watches = watches
        self._last: kopf.ConnectionInfo | None = None

    async def log_in(self, **kwargs: Any) -> kopf.AiohttpSession | None:
        """Return a session with the present credentials: a pod's token changes every hour."""
        found = kopf.login_with_service_account(**kwargs)
        if found is None:
            found = kopf.login_with_kubeconfig(**kwargs)
        else:
            found = dataclasses.replace(found, server=in_cluster_server() or found.server)
        if found is None:
            return None
        if found == self._last:
            await asyncio.sleep(self.SAME)
        self._last = found
        self._watches.prefix = URL(found.server).path.rstrip("/")
        session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=found.as_ssl_context()),
            headers=found.as_http_headers(),
            proxy=found.proxy_url,
            trust_env=found.trust_env,
            trace_configs=[self._watches.trace],
        )
        return kopf.AiohttpSession(
            server=found.server, default_namespace=found.default_namespace, aiohttp_session=session
        )


def in_cluster_server() -> str | None:
    """Return the API server's address as kubelets give it to pods; kopf uses a name, which needs the cluster's DNS."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        return None
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"
