"""Maps events to the pools that they concern. Pure except for the small index from Services to pools.

A lost event (kopf reports nothing for objects that were deleted while a watch was down) costs time, not correctness:
after a watch begins again, all pools are reconciled.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from mcppool_operator.resources import POOL

SLICE_SERVICE_LABEL = "kubernetes.io/service-name"


OWN_SERVICES = {"Pods": "{name}-mcp-pods", "Managed": "{name}-mcp-server"}
"""By type of source: the Service that the operator creates to find the servers."""


def key_of(namespace: str, name: str) -> str:
    """Return the work queue's key of a pool."""
    return f"{namespace}/{name}"


def split_key(key: str) -> tuple[str, str]:
    """Return namespace and name of a pool from its key."""
    namespace, _, name = key.partition("/")
    return namespace, name


def own_key(pool: Mapping[str, Any]) -> str:
    """Return the key of a pool itself."""
    metadata = pool["metadata"]
    return key_of(metadata["namespace"], metadata["name"])


def pool_of_pod(pod: Mapping[str, Any]) -> str | None:
    """Return the key of the pool that a pod's labels name; its owner is a ReplicaSet."""
    metadata = pod["metadata"]
    name = (metadata.get("labels") or {}).get("app.kubernetes.io/instance")
    return key_of(metadata["namespace"], name) if name else None


def owning_pool(obj: Mapping[str, Any]) -> str | None:
    """Return the key of the pool that controls this object, if one does."""
    metadata = obj.get("metadata", {})
    for owner in metadata.get("ownerReferences") or ():
        if owner.get("controller") and owner.get("kind") == POOL.kind and _group(owner) == POOL.group:
            return key_of(metadata["namespace"], owner["name"])
    return None


class Index:
    """The pools that take their endpoints from each Service."""

    def __init__(self) -> None:
        self._pools: dict[tuple[str, str], set[str]] = {}
        self._service: dict[str, tuple[str, str] | None] = {}  # of every known pool

    def pool_changed(self, pool: Mapping[str, Any], *, deleted: bool) -> set[str]:
        """Take note of a pool; returns the keys to reconcile: its own."""
        metadata, key = pool["metadata"], own_key(pool)
        source = pool.get("spec", {}).get("source", {})
        name = (source.get("service") or {}).get("name") or OWN_SERVICES.get(source.get("type"), "").format(**metadata)
        self.forget(key)
        if not deleted:
            service = (metadata["namespace"], name) if name else None
            self._service[key] = service
            if service is not None:
                self._pools.setdefault(service, set()).add(key)
        return {key}

    def service_changed(self, service: Mapping[str, Any]) -> set[str]:
        """Return the pools that take their endpoints from a Service, and the one that owns it."""
        metadata = service["metadata"]
        return self._using(metadata["namespace"], metadata["name"]) | _owned(service)

    def slice_changed(self, endpoint_slice: Mapping[str, Any]) -> set[str]:
        """Return the pools that take their endpoints from the Service of an EndpointSlice."""
        metadata = endpoint_slice["metadata"]
        return self._using(metadata["namespace"], (metadata.get("labels") or {}).get(SLICE_SERVICE_LABEL, ""))

    def child_changed(self, child: Mapping[str, Any]) -> set[str]:
        """Return the pool that controls an object."""
        return _owned(child)

    def forget(self, key: str) -> None:
        """Forget a deleted pool."""
        service = self._service.pop(key, None)
        if service is not None:
            pools = self._pools[service]
            pools.discard(key)
            if not pools:
                del self._pools[service]

    def replace(self, pools: Iterable[Mapping[str, Any]]) -> set[str]:
        """Replace the index by a fresh list of every pool; returns the keys to reconcile, the vanished ones too."""
        before = set(self._service)
        self._pools.clear()
        self._service.clear()
        return before.union(*(self.pool_changed(pool, deleted=False) for pool in pools))

    def _using(self, namespace: str, service: str) -> set[str]:
        return set(self._pools.get((namespace, service), ()))


def _owned(obj: Mapping[str, Any]) -> set[str]:
    key = owning_pool(obj)
    return {key} if key else set()


def _group(owner: Mapping[str, Any]) -> str:
    group, _, version = str(owner.get("apiVersion", "")).rpartition("/")
    return group if version else ""
