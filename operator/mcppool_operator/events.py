"""Events of pools for `kubectl describe`: one each time a pool becomes ready, or stops being ready."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final

from mcppool_operator.api import MANAGER, TRANSIENT, KubeApi, KubeError, Object
from mcppool_operator.resources import EVENT, POOL

log = logging.getLogger(__name__)

MAX_MESSAGE: Final = 1024
"""Upper bound of the API server on the characters of an Event's message."""


def degraded_event(pool: Object, before: Mapping[str, Any], after: Mapping[str, Any], now: str) -> Object | None:
    """Return the Event of a pool that becomes degraded, or recovers. Pure."""
    old, new = _condition(before, "Degraded"), _condition(after, "Degraded")
    if new is None or (old is None and new["status"] != "True"):
        return None
    if old is not None and (old["status"], old["reason"]) == (new["status"], new["reason"]):
        return None
    return _event(pool, "Warning" if new["status"] == "True" else "Normal", new["reason"], new["message"], now)


def tools_event(pool: Object, before: Mapping[str, Any], after: Mapping[str, Any], now: str) -> Object | None:
    """Return the Event of a pool whose replicas begin to differ in their tools. Pure."""
    old, new = _condition(before, "ToolsDiffer"), _condition(after, "ToolsDiffer")
    if new is None or old is not None:
        return None
    return _event(pool, "Warning", new["reason"], new["message"], now)


def ready_event(pool: Object, before: Mapping[str, Any], after: Mapping[str, Any], now: str) -> Object | None:
    """Return the Event for a change of status, if there is one; a start is no news. Pure."""
    old, new = _condition(before, "Ready"), _condition(after, "Ready")
    if new is None or new["reason"] in ("Pending", "RolloutInProgress"):
        return None
    if new["reason"] == "MinimumReplicasUnavailable" and (old is None or old["status"] != "True"):
        return None  # they are starting; after a minute the reason changes
    if old is not None and (old["status"], old["reason"]) == (new["status"], new["reason"]):
        return None
    return _event(pool, "Normal" if new["status"] == "True" else "Warning", new["reason"], new["message"], now)


def keys_event(pool: Object, before: Mapping[str, Any], after: Mapping[str, Any], now: str) -> Object | None:
    """Return the Event of a pool whose gateways begin to seal with a new key. Pure."""
    old, new = before.get("sealingKeys") or {}, after.get("sealingKeys") or {}
    if new.get("id") is None or old.get("id") == new["id"]:
        return None
    message = f"gateways seal session ids with the key {new['id']}; earlier keys open theirs until these expire"
    return _event(pool, "Normal", "SealingKeysRotated", message, now)


def not_owned_event(pool: Object, owner: str, us: str, now: str) -> Object:
    """Return the Event of a pool that belongs to another installation. Pure."""
    message = (
        f"the operator {owner} manages this pool, and {us} leaves it alone while {owner} holds its Lease; "
        "set spec.operatorClass, or the namespaces that each of them watches, to decide it"
    )
    return _event(pool, "Warning", "NotOwned", message, now)


def _event(pool: Object, kind: str, reason: str, message: str, now: str) -> Object:
    metadata = pool["metadata"]
    return {
        "apiVersion": EVENT.api_version,
        "kind": EVENT.kind,
        "metadata": {"namespace": metadata["namespace"], "generateName": f"{metadata['name']}."},
        "involvedObject": {
            "apiVersion": POOL.api_version,
            "kind": POOL.kind,
            "namespace": metadata["namespace"],
            "name": metadata["name"],
            "uid": metadata["uid"],
        },
        "type": kind,
        "reason": reason,
        "message": message[:MAX_MESSAGE],
        "source": {"component": MANAGER},
        "reportingComponent": MANAGER,
        "firstTimestamp": now,
        "lastTimestamp": now,
        "count": 1,
    }


async def announce(api: KubeApi, event: Object) -> None:
    """Write an Event; a failure has no other effect."""
    pool = f"{event['metadata']['namespace']}/{event['involvedObject']['name']}"
    extra = {"pool": pool, "reason": event["reason"], "detail": event["message"]}
    log.info("Event", extra=extra)
    try:
        await api.create(EVENT, event)
    except (KubeError, *TRANSIENT) as error:
        log.debug("an Event could not be written", extra={"pool": pool, "error": str(error)})


def _condition(status: Mapping[str, Any], kind: str) -> Mapping[str, Any] | None:
    return next((entry for entry in status.get("conditions") or () if entry["type"] == kind), None)
