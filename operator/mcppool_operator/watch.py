"""kopf, as what it is used for here: watches that reconnect, log in and filter on the server's side.

Only `on.event` handlers: they need no finalizer, write no annotation and send no patch to anyone's objects. Each tells
the queue which pools an event may concern, and nothing else.
"""

from __future__ import annotations

import asyncio
import dataclasses
import os
import time
from collections.abc import Callable, Collection, Mapping
from typing import Any, Final

import kopf

from mcppool_operator import metrics
from mcppool_operator.children import MANAGED_BY
from mcppool_operator.children.table import CHILDREN
from mcppool_operator.resources import ENDPOINT_SLICE, POOL, SERVICE, Kind
from mcppool_operator.triggers import SLICE_SERVICE_LABEL, Index

Enqueue = Callable[[str, bool], None]
"""Asks for a pool; and whether it was only listed, when a watch began."""

Concerned = Callable[[Mapping[str, Any], bool], set[str]]

IDENTITY: Final[Any] = "mcppool-operator"
"""Nobody sees it, because there is no peering; but kopf's own guess asks for a user name, and a pod's user has none."""


def registry(index: Index, enqueue: Enqueue, children: Collection[Kind]) -> kopf.OperatorRegistry:
    """Return kopf's handlers: one for each kind that is watched."""
    handlers = kopf.OperatorRegistry()
    kopf.on.login(registry=handlers, id="login", retries=10)(_login)
    watched: dict[Kind, Concerned] = {kind: lambda obj, _: index.child_changed(obj) for kind in children}
    # A Service may be a child, or what a pool takes its endpoints from.
    watched |= {
        POOL: lambda obj, deleted: index.pool_changed(obj, deleted=deleted),
        SERVICE: lambda obj, _: index.service_changed(obj),
        ENDPOINT_SLICE: lambda obj, _: index.slice_changed(obj),
    }
    for kind, concerned in watched.items():
        # kopf names the core group by an empty string.
        kopf.on.event(kind.group, kind.version, kind.plural, registry=handlers, id=kind.plural)(
            _handler(kind, concerned, enqueue)
        )
    return handlers


def settings(children: Collection[Kind]) -> kopf.OperatorSettings:
    """Return kopf's settings for watching only."""
    chosen = kopf.OperatorSettings()
    chosen.posting.enabled = False
    chosen.peering.standalone = True  # who leads is a Lease's business
    chosen.scanning.disabled = True  # no watches of CRDs and namespaces, and no permission for them
    chosen.watching.chunk_size = 500
    for kind in set(children) - {SERVICE}:
        chosen.watching.label_selectors[kind.group, kind.version, kind.plural] = MANAGED_BY
    chosen.watching.label_selectors[ENDPOINT_SLICE.group, ENDPOINT_SLICE.version, ENDPOINT_SLICE.plural] = (
        SLICE_SERVICE_LABEL
    )
    chosen.networking.connect_timeout = 5
    chosen.networking.request_timeout = 60
    chosen.networking.enforce_retry_after = True
    chosen.process.ultimate_exiting_timeout = 20  # below the pod's terminationGracePeriodSeconds
    chosen.persistence.finalizer = "mcppool.dev/finalizer"  # unused: there is no handler that would need one
    return chosen


def children_kinds(served: Collection[Kind]) -> list[Kind]:
    """Return the kinds of children that are watched; `served`: optional ones that the cluster knows."""
    return [child.kind for child in CHILDREN if child.watched and (child.built_in or child.kind in served)]


async def run(
    index: Index,
    enqueue: Enqueue,
    namespaces: tuple[str, ...],
    children: Collection[Kind],
    ready: asyncio.Event,
    stop: asyncio.Event,
) -> None:
    """Watch until `stop` is set; `ready` is set when kopf is up."""
    await kopf.operator(
        registry=registry(index, enqueue, children),
        settings=settings(children),
        identity=IDENTITY,
        standalone=True,
        clusterwide=not namespaces,
        namespaces=namespaces,
        ready_flag=ready,
        stop_flag=stop,
    )


def _handler(kind: Kind, concerned: Concerned, enqueue: Enqueue) -> Any:
    async def changed(event: Mapping[str, Any], **_: object) -> None:
        metrics.EVENTS.labels(kind.plural).inc()
        metrics.LAST_EVENT.labels(kind.plural).set(time.time())
        for key in concerned(event["object"], event["type"] == "DELETED"):
            enqueue(key, event["type"] is None)

    return changed


async def _login(**kwargs: Any) -> kopf.ConnectionInfo | None:
    found = kopf.login_with_service_account(**kwargs)
    if found is None:
        return kopf.login_with_kubeconfig(**kwargs)
    return dataclasses.replace(found, server=in_cluster_server() or found.server)


def in_cluster_server() -> str | None:
    """Return the API server's address as kubelets give it to pods; kopf takes a name, which needs the cluster's DNS."""
    host, port = os.environ.get("KUBERNETES_SERVICE_HOST"), os.environ.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        return None
    return f"https://{f'[{host}]' if ':' in host else host}:{port}"
