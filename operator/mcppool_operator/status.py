"""The status of a pool: dated conditions, and counts. Pure.

A condition's `lastTransitionTime` changes only when its `status` does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from mcppool.spec.urls import redacted_url
from mcppool_operator.condition import Condition
from mcppool_operator.conditions import ALWAYS, HOPELESS, SOMETIMES, conditions_of
from mcppool_operator.observed import Observed
from mcppool_operator.resolve import State

FIELDS: Final = ("observedGeneration", "operator", "url", "address", "endpoints", "config", "gateway", "sealingKeys")
SAMPLE: Final = 16


def summarize(observed: Observed, now: str) -> dict[str, Any]:
    """Return the whole status; `now` (RFC 3339) dates the conditions that change."""
    previous = observed.previous
    if observed.invalid is not None:
        return _stopped(observed, Condition("Accepted", "False", "InvalidSpec", observed.invalid), now)
    if observed.suspended:
        message = "the pool is suspended: its gateways keep their configuration"
        return _stopped(observed, Condition("Accepted", "False", "Suspended", message), now)
    status: dict[str, Any] = {
        "observedGeneration": observed.generation,
        "operator": observed.operator,
        "endpoints": _endpoints(observed),
        "gateway": _gateway(observed),
        "conditions": _dated(conditions_of(observed), observed.generation, previous, now),
    }
    if observed.url:
        status["url"] = observed.url
    if observed.address:
        status["address"] = observed.address
    if observed.published is not None:
        status["config"] = dict(observed.published)
    if observed.sealing_keys is not None:
        status["sealingKeys"] = dict(observed.sealing_keys)
    return status


def condition(status: Mapping[str, Any], kind: str) -> str:
    """Return the status of one condition; "Unknown" if it is absent."""
    return next((str(c["status"]) for c in status.get("conditions") or () if c["type"] == kind), "Unknown")


def same(status: Mapping[str, Any], written: Mapping[str, Any]) -> bool:
    """Return whether `status` equals the written one; conditions and fields of other managers there do not matter."""
    ours = {c["type"]: c for c in status["conditions"]}
    theirs = {c["type"]: c for c in written.get("conditions") or () if c["type"] in (*ALWAYS, *SOMETIMES)}
    return ours == theirs and all(status.get(name) == written.get(name) for name in FIELDS)


def _stopped(observed: Observed, accepted: Condition, now: str) -> dict[str, Any]:
    """Without reconciliation, only `Accepted` and `Ready` change: the rest stays as last seen."""
    status = {key: value for key, value in observed.previous.items() if key != "conditions"}
    kept = [
        Condition(c["type"], c["status"], c["reason"], c["message"])
        for c in observed.previous.get("conditions") or ()
        if c["type"] in ALWAYS and c["type"] not in ("Accepted", "Ready")
    ]
    ready = Condition("Ready", "False", accepted.reason, accepted.message)
    if accepted.reason in HOPELESS:
        kept.append(Condition("Stalled", "True", accepted.reason, accepted.message))
    status["observedGeneration"] = observed.generation
    status["operator"] = observed.operator
    status["conditions"] = _dated([accepted, *kept, ready], observed.generation, observed.previous, now)
    return status


def _endpoints(observed: Observed) -> dict[str, Any]:
    if observed.resolution.problem is not None:
        kept: dict[str, Any] | None = observed.previous.get("endpoints")
        return kept or {"total": 0, "ready": 0, "draining": 0, "summary": "0/0", "notReady": []}
    resolution = observed.resolution
    ready, total = len(resolution.of(State.READY)), len(resolution.endpoints)
    return {
        "total": total,
        "ready": ready,
        "draining": len(resolution.of(State.DRAINING)),
        "summary": f"{ready}/{total}",
        "notReady": [
            {"address": redacted_url(endpoint.url), "reason": endpoint.reason or "NotReady"}
            | ({"targetName": endpoint.target} if endpoint.target else {})
            for endpoint in resolution.of(State.NOT_READY, State.DRAINING)[:SAMPLE]
        ],
    }


def _gateway(observed: Observed) -> dict[str, Any]:
    status = (observed.deployment or {}).get("status") or {}
    return {
        "replicas": int(status.get("replicas") or 0),
        "readyReplicas": int(status.get("readyReplicas") or 0),
        "updatedReplicas": int(status.get("updatedReplicas") or 0),
        "syncedReplicas": observed.sync.synced if observed.sync else 0,
        "sessions": observed.sync.sessions if observed.sync else 0,
        "selector": observed.selector,
    }


def _dated(
    conditions: Sequence[Condition], generation: int, previous: Mapping[str, Any], now: str
) -> list[dict[str, Any]]:
    before = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    dated = []
    for one in conditions:
        old = before.get(one.type, {})
        dated.append(
            {
                "type": one.type,
                "status": one.status,
                "reason": one.reason,
                "message": one.message,
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == one.status else now,
            }
        )
    return dated
