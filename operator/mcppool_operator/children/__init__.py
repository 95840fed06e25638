"""The children of one pool as plain objects: pure functions from the pool to the desired objects.

Every child lives in the pool's namespace, is named after it and belongs to it (`ownerReferences`), so that garbage
collection removes all of them with the pool: there is no finalizer, and a deletion does not wait for the operator.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcppool_operator.api import MANAGER
from mcppool_operator.resources import POOL, Kind

MANAGED_BY = f"app.kubernetes.io/managed-by={MANAGER}"
"""The label selector of everything that the operator has created."""

MCP_PORT = 8080
ADMIN_PORT = 9090
CONFIG_DIRECTORY = "/etc/mcppool/config"
KEYS_DIRECTORY = "/etc/mcppool/keys"
SNAPSHOT_KEY = "snapshot.json"
SEALING_KEY = "keys"


@dataclass(frozen=True, slots=True)
class Owner:
    """The pool that owns a child, and the names that follow from its own."""

    namespace: str
    name: str
    uid: str

    @property
    def config_name(self) -> str:
        """Name of the ConfigMap with the snapshot."""
        return f"{self.name}-mcp-config"

    @property
    def keys_name(self) -> str:
        """Name of the Secret with the sealing keys."""
        return f"{self.name}-mcp-keys"

    def slot_name(self, slot: int) -> str:
        """Name of the Secret with the sealing key of a slot, and of the ConfigMap that describes the key."""
        return f"{self.keys_name}-{slot}" if slot else self.keys_name

    @property
    def gateway_name(self) -> str:
        """Name of the gateways' Deployment, and of the objects that belong to it."""
        return f"{self.name}-mcp-gateway"

    @property
    def admin_name(self) -> str:
        """Name of the headless Service by which the gateways find each other's admin port."""
        return f"{self.name}-mcp-admin"

    @property
    def server_name(self) -> str:
        """Name of the Deployment of managed servers, and of the objects that belong to it."""
        return f"{self.name}-mcp-server"

    @property
    def pods_name(self) -> str:
        """Name of the headless Service that finds the pods which the pool selects by labels."""
        return f"{self.name}-mcp-pods"

    @property
    def server_selector(self) -> dict[str, str]:
        """Labels that select the pods of managed servers; never changed."""
        return {"app.kubernetes.io/instance": self.name, "app.kubernetes.io/component": "server"}

    @property
    def selector(self) -> dict[str, str]:
        """Labels that select the gateway pods; never changed, because a Deployment's selector cannot be."""
        return {"app.kubernetes.io/instance": self.name, "app.kubernetes.io/component": "gateway"}

    @property
    def labels(self) -> dict[str, str]:
        """Labels of every child that concerns the gateways."""
        return _labels(self.selector)

    @property
    def server_labels(self) -> dict[str, str]:
        """Labels of every child that concerns servers."""
        return _labels(self.server_selector)

    def server_child(self, kind: Kind, **content: Any) -> dict[str, Any]:
        """Return an object that belongs to the managed servers."""
        child = self.child(kind, self.server_name, **content)
        child["metadata"]["labels"] = self.server_labels
        return child

    def child(self, kind: Kind, name: str, **content: Any) -> dict[str, Any]:
        """Return an object of this pool with the metadata of a child; `content` is everything else."""
        return {
            "apiVersion": kind.api_version,
            "kind": kind.kind,
            "metadata": {
                "namespace": self.namespace,
                "name": name,
                "labels": self.labels,
                "ownerReferences": [
                    {
                        "apiVersion": POOL.api_version,
                        "kind": POOL.kind,
                        "name": self.name,
                        "uid": self.uid,
                        "controller": True,
                        "blockOwnerDeletion": True,
                    }
                ],
            },
            **content,
        }


@dataclass(frozen=True, slots=True)
class Child:
    """One desired object; `body` None: the object should not exist."""

    kind: Kind
    name: str
    body: dict[str, Any] | None

    @property
    def place(self) -> tuple[Kind, str]:
        """Identity of the object in the pool's namespace."""
        return self.kind, self.name


def _labels(selector: dict[str, str]) -> dict[str, str]:
    return {
        "app.kubernetes.io/name": "mcppool",
        "app.kubernetes.io/managed-by": MANAGER,
        "app.kubernetes.io/part-of": "mcppool",
        **selector,
    }


def selector_text(labels: dict[str, str]) -> str:
    """Write labels as an API server's label selector."""
    return ",".join(f"{key}={value}" for key, value in sorted(labels.items()))
