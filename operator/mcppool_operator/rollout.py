"""The progress of the gateways' Deployment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mcppool.spec.plural import counted


@dataclass(frozen=True, slots=True)
class Rollout:
    """The progress of the gateways' Deployment towards its latest generation."""

    wanted: int
    ready: int
    done: bool
    text: str
    conditions: Mapping[str, Mapping[str, Any]]

    @classmethod
    def of(cls, deployment: Mapping[str, Any]) -> Rollout:
        """Read it from the Deployment, as `kubectl rollout status` does."""
        spec, status = deployment.get("spec") or {}, deployment.get("status") or {}
        wanted = int(spec.get("replicas", 1))
        replicas, updated = int(status.get("replicas") or 0), int(status.get("updatedReplicas") or 0)
        conditions = {c["type"]: c for c in status.get("conditions") or ()}
        generation = int(deployment.get("metadata", {}).get("generation") or 0)
        if int(status.get("observedGeneration") or 0) < generation:
            done, text = False, "Kubernetes has not taken up the change of the Deployment yet"
        elif updated < min(wanted, replicas) or replicas > updated:
            done, text = False, f"{counted(updated, 'gateway', ('has', 'have'), of=wanted)} the new revision"
        else:
            reason = conditions.get("Progressing", {}).get("reason", "NewReplicaSetAvailable")
            done, text = reason == "NewReplicaSetAvailable", "the new revision is starting"
        return cls(wanted, int(status.get("readyReplicas") or 0), done, text, conditions)
