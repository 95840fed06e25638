"""The pods of a pool, as far as its status needs them. Pure."""

from __future__ import annotations

import datetime
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

MAX_CAUSE: Final = 200

DELETION_COST: Final = "controller.kubernetes.io/pod-deletion-cost"
"""Annotation for the order in which a ReplicaSet deletes pods."""


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod of gateways or of managed servers."""

    name: str
    namespace: str
    uid: str
    component: str
    address: str  # empty before it has one
    ready: bool  # it takes calls: Ready, and not terminating
    going: bool
    cause: str | None  # why a pod that is not ready waits
    deletion_cost: str | None
    starting: bool  # no container of it has started yet
    placed: bool  # on a node
    created: float  # Unix time; 0 if unknown

    @classmethod
    def of(cls, pod: Mapping[str, Any]) -> Pod:
        """Read it from the API server's answer."""
        metadata = pod["metadata"]
        created = metadata.get("creationTimestamp")
        return cls(
            name=metadata["name"],
            namespace=metadata.get("namespace", ""),
            uid=metadata.get("uid", ""),
            component=(metadata.get("labels") or {}).get("app.kubernetes.io/component", ""),
            address=pod.get("status", {}).get("podIP") or "",
            ready=is_ready(pod),
            going="deletionTimestamp" in metadata,
            cause=waits_for(pod),
            deletion_cost=(metadata.get("annotations") or {}).get(DELETION_COST),
            placed=bool(pod.get("spec", {}).get("nodeName")),
            starting=str(pod.get("status", {}).get("phase", "Pending")) == "Pending",
            created=datetime.datetime.fromisoformat(created).timestamp() if created else 0.0,
        )

    def waits_since(self, seconds: float, now: float) -> bool:
        """Return whether it waits, and is at least so many seconds old."""
        return self.cause is not None and now - self.created > seconds


def is_ready(pod: Mapping[str, Any]) -> bool:
    """Return whether a pod takes calls: Ready, and not terminating."""
    if pod["metadata"].get("deletionTimestamp") or not pod.get("status", {}).get("podIP"):
        return False
    return any(c["type"] == "Ready" and c["status"] == "True" for c in pod["status"].get("conditions") or ())


def waits_for(pod: Mapping[str, Any]) -> str | None:
    """Return the cause of a pod that is not ready; None if it is unknown."""
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


def causes(pods: Iterable[Pod]) -> tuple[str, ...]:
    """Return the causes of the pods that are not ready, by name."""
    return tuple(sorted(f"{pod.name}: {pod.cause}" for pod in pods if pod.cause is not None))


def _words(reason: str, message: str | None) -> str:
    return f"{reason} ({message[:MAX_CAUSE]})" if message else str(reason)
