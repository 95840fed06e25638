"""The objects of the pool `search`, as tests of the operator look at them."""

from __future__ import annotations

import json
from typing import Any

from mcppool_operator.resources import (
    AUTOSCALER,
    CONFIG_MAP,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    ROLE,
    ROLE_BINDING,
    SECRET,
    SERVICE,
    SERVICE_ACCOUNT,
    SERVICE_MONITOR,
)
from tests.kube.administrator import Administrator
from tests.kube.control_plane import Cluster

GATEWAY, CONFIG, KEYS = "search-mcp-gateway", "search-mcp-config", "search-mcp-keys"

CHILDREN = [
    (CONFIG_MAP, CONFIG),
    (SECRET, KEYS),
    (SERVICE_ACCOUNT, GATEWAY),
    (ROLE, GATEWAY),
    (ROLE_BINDING, GATEWAY),
    (SERVICE, GATEWAY),
    (SERVICE, "search-mcp-admin"),
    (DISRUPTION_BUDGET, GATEWAY),
    (DEPLOYMENT, GATEWAY),
]

EVERYTHING = {
    "serviceMonitor": {"enabled": True},
    "networkPolicy": {"enabled": True},
    "autoscaling": {"maxReplicas": 5},
}

EXTRAS = [(SERVICE_MONITOR, GATEWAY), (NETWORK_POLICY, GATEWAY), (AUTOSCALER, GATEWAY)]


def endpoints(config_map: Any) -> dict[str, bool]:
    """The endpoints of the published snapshot, and whether they are draining."""
    if config_map is None:
        return {}
    (pool,) = json.loads(config_map["data"]["snapshot.json"])["pools"]
    return {entry["url"]: entry.get("draining", False) for entry in pool["endpoints"]}


def order(config_map: Any) -> tuple[int, int]:
    snapshot = json.loads(config_map["data"]["snapshot.json"])
    return snapshot["term"], snapshot["generation"]


def url(address: str) -> str:
    return f"http://{address}:8000/mcp"


def is_another(old: Any, found: Any) -> bool:
    return found is not None and found["metadata"]["uid"] != old["metadata"]["uid"]


async def published(admin: Administrator, *addresses: str) -> Any:
    wanted = {url(address) for address in addresses}
    return await admin.until(
        CONFIG_MAP, CONFIG, lambda found: set(endpoints(found)) == wanted, f"{addresses} published"
    )


def replicas(found: Any) -> int | None:
    return found["spec"]["replicas"] if found else None


def seen(kube: Cluster, namespace: str) -> list[dict[str, Any]]:
    """The operator's requests about a namespace."""
    return [request for request in kube.requests() if request.get("objectRef", {}).get("namespace") == namespace]
