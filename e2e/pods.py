"""The pods of the page: their names, their readiness, and the way back to the page's numbers."""

from __future__ import annotations

from typing import Any

from e2e import names
from e2e.clusters import Cluster
from e2e.waiting import PATIENCE, until

SERVERS = 3
GATEWAYS = 2
OPERATORS = 2


def pods(cluster: Cluster, label: str) -> dict[str, dict[str, Any]]:
    """Return the pods with a label that are not being deleted, by name."""
    found = cluster.get("pods", "-l", label)["items"]
    return {pod["metadata"]["name"]: pod for pod in found if "deletionTimestamp" not in pod["metadata"]}


def ready(cluster: Cluster, label: str) -> set[str]:
    """Return the names of those that are ready."""
    return {name for name, pod in pods(cluster, label).items() if is_ready(pod)}


def is_ready(pod: dict[str, Any]) -> bool:
    """Say whether the pod's Ready condition is true."""
    conditions = pod["status"].get("conditions", [])
    return any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)


def await_ready(cluster: Cluster, label: str, count: int) -> set[str]:
    """Wait until exactly `count` pods with a label are there, and all of them ready; return their names."""

    def all_ready() -> set[str] | None:
        found = pods(cluster, label)
        return set(found) if len(found) == count and all(map(is_ready, found.values())) else None

    return until(f"{count} ready pods {label}", all_ready)


def rolled(cluster: Cluster, deployment: str) -> None:
    """Wait until a Deployment's last change is rolled out."""
    cluster.kubectl("rollout", "status", deployment, f"--timeout={PATIENCE:g}s")


def restore(cluster: Cluster) -> None:
    """Bring everything back to the page's numbers after a test."""
    cluster.kubectl("scale", "-n", names.OPERATOR_NAMESPACE, names.OPERATOR, f"--replicas={OPERATORS}")
    cluster.kubectl("scale", names.SERVERS, f"--replicas={SERVERS}")
    cluster.kubectl("scale", f"mcppool/{names.POOL}", f"--replicas={GATEWAYS}")
    cluster.kubectl("rollout", "status", "-n", names.OPERATOR_NAMESPACE, names.OPERATOR, f"--timeout={PATIENCE:g}s")
    await_ready(cluster, names.SERVER_LABEL, SERVERS)
    await_ready(cluster, names.GATEWAY_LABEL, GATEWAYS)
