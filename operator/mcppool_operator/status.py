"""The status of a pool: conditions with their reasons, and counts. Pure.

A condition's `lastTransitionTime` changes only when its `status` does; `Ready` repeats the first of the others that is
not True, in the order of `CONDITIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from mcppool.spec.plural import counted
from mcppool.spec.urls import redacted_url, shown_key
from mcppool_operator.resolve import Resolution, State
from mcppool_operator.tool_differences import ToolReport

SOMETIMES: Final = ("Reconciling", "Stalled", "Drifted", "Autoscaled", "ToolsDiffer")
"""Conditions that are present only while they have a meaning; the first two are kstatus's."""

HOPELESS: Final = frozenset(
    {
        "InvalidSpec", "NameConflict", "PublishFailed", "TooManyEndpoints", "Rejected", "ProgressDeadlineExceeded",
        "QuotaExceeded", "ReplicaFailure", "GatewaysNotStarting", "ServiceUnsupported", "SourceIsGateway",
    }
)  # fmt: skip
"""Reasons that need a change by the user: waiting does not help."""

FIELDS: Final = ("observedGeneration", "operator", "url", "address", "endpoints", "config", "gateway", "sealingKeys")
SAMPLE: Final = 16


@dataclass(frozen=True, slots=True)
class ReadyVerdict:
    """One condition without its date."""

    type: str
    status: str  # "True", "False" or "Unknown"
    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Sync:
    """The ready gateways' answers when they were last asked for their configuration."""

    ready: int = 0
    synced: int = 0
    rejected: tuple[str, ...] = ()  # pods that refused the expected configuration
    silent: tuple[str, ...] = ()  # ready pods that did not answer
    error: str | None = None  # why the gateways could not be found
    waiting: tuple[str, ...] = ()  # pods that do not start, with the cause
    nobody_answers: str | None = None  # the reason, if all ready gateways report that no server answers them
    servers_waiting: tuple[str, ...] = ()  # the same for managed servers
    stuck: bool = False  # one of them has waited for a minute
    failing: str | None = None  # the share of failed client calls, if it is too high
    sessions: int = 0  # sessions of clients at all gateways, coarsely
    tools: ToolReport | None = None  # tools that differ between replicas, or from their pins
    key_ids: frozenset[str] = frozenset()  # sealing keys that all ready gateways accept
    ending: bool = False  # a gateway terminates


@dataclass(frozen=True, slots=True)
class Observed:
    """All inputs of a pool's status."""

    generation: int
    previous: Mapping[str, Any] = field(default_factory=dict)
    operator: str = ""  # the installation that owns the pool
    invalid: str | None = None
    suspended: bool = False
    resolution: Resolution = field(default_factory=Resolution)
    published: Mapping[str, Any] | None = None  # configMapName, hash, generation, term
    published_endpoints: int = 0
    # Of children that a pool can serve without: ServiceMonitor, PodDisruptionBudget ….
    extras: ReadyVerdict | None = None
    drift: str | None = None  # additions of other managers to the children, which the operator does not remove
    autoscaled: ReadyVerdict | None = None
    failure: ReadyVerdict | None = None  # of publishing: NameConflict, PublishFailed, TooManyEndpoints …
    sync: Sync | None = None
    deployment: Mapping[str, Any] | None = None
    url: str | None = None
    address: str | None = None  # for clients outside the cluster
    selector: str = ""
    sealing_keys: Mapping[str, Any] | None = None

    def but(self, **changes: Any) -> Observed:
        """Return a copy with some fields replaced."""
        return replace(self, **changes)


def summarize(observed: Observed, now: str) -> dict[str, Any]:
    """Return the whole status; `now` (RFC 3339) dates the conditions that change."""
    previous = observed.previous
    if observed.invalid is not None:
        return _stopped(observed, ReadyVerdict("Accepted", "False", "InvalidSpec", observed.invalid), now)
    if observed.suspended:
        message = "the pool is suspended: its gateways keep their configuration"
        return _stopped(observed, ReadyVerdict("Accepted", "False", "Suspended", message), now)
    verdicts = [verdict_of(observed) for verdict_of in CONDITIONS.values()]
    status: dict[str, Any] = {
        "observedGeneration": observed.generation,
        "operator": observed.operator,
        "endpoints": _endpoints(observed),
        "gateway": _gateway(observed),
        "conditions": _dated(_all(observed, verdicts), observed.generation, previous, now),
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


def _stopped(observed: Observed, accepted: ReadyVerdict, now: str) -> dict[str, Any]:
    """Without reconciliation, only `Accepted` and `Ready` change: the rest stays as last seen."""
    status = {key: value for key, value in observed.previous.items() if key != "conditions"}
    kept = [
        ReadyVerdict(c["type"], c["status"], c["reason"], c["message"])
        for c in observed.previous.get("conditions") or ()
        if c["type"] in ALWAYS and c["type"] not in ("Accepted", "Ready")
    ]
    ready = ReadyVerdict("Ready", "False", accepted.reason, accepted.message)
    if accepted.reason in HOPELESS:
        kept.append(ReadyVerdict("Stalled", "True", accepted.reason, accepted.message))
    status["observedGeneration"] = observed.generation
    status["operator"] = observed.operator
    status["conditions"] = _dated([accepted, *kept, ready], observed.generation, observed.previous, now)
    return status


def _accepted(_: Observed) -> ReadyVerdict:
    return ReadyVerdict("Accepted", "True", "Accepted", "the specification is valid")


def _resolved_refs(observed: Observed) -> ReadyVerdict:
    problem = observed.resolution.problem
    if problem is None or problem.unknown:
        return ReadyVerdict("ResolvedRefs", "True", "ResolvedRefs", "every object that the pool refers to exists")
    return ReadyVerdict("ResolvedRefs", "False", problem.reason, problem.message)


def _endpoints_available(observed: Observed) -> ReadyVerdict:
    kind = "EndpointsAvailable"
    problem = observed.resolution.problem
    if problem is not None:
        kept = observed.published_endpoints
        note = f"; the last published ones stay: {counted(kept, 'endpoint')}" if kept else ""
        return ReadyVerdict(kind, "Unknown", "Pending", f"the endpoints are unknown: {problem.message}{note}")
    total = len(observed.resolution.endpoints)
    ready = len(observed.resolution.of(State.READY))
    if ready and observed.sync is not None and observed.sync.nobody_answers is not None:
        message = (
            f"{counted(ready, 'endpoint', ('is', 'are'), of=total)} ready, and none answers the gateways: "
            f"{observed.sync.nobody_answers}"
        )
        return ReadyVerdict(kind, "False", "NobodyAnswers", message)
    if ready:
        return ReadyVerdict(kind, "True", kind, f"{counted(ready, 'endpoint', ('is', 'are'), of=total)} ready")
    waiting = observed.sync.servers_waiting if observed.sync is not None else ()
    causes = f"; {'; '.join(waiting[:3])}" if waiting else ""
    if total:
        return ReadyVerdict(kind, "False", "NoReadyEndpoints", f"none of {counted(total, 'endpoint')} is ready{causes}")
    return ReadyVerdict(kind, "False", "NoEndpoints", f"the source has no endpoints{causes}")


def _programmed(observed: Observed) -> ReadyVerdict:
    kind = "Programmed"
    if observed.failure is not None:
        return observed.failure
    if observed.published is None:
        return ReadyVerdict(kind, "Unknown", "Pending", "the operator publishes nothing before it knows the endpoints")
    sync = observed.sync
    if sync is None:
        return ReadyVerdict(kind, "Unknown", "Pending", "the operator has not asked the gateways for their hash yet")
    if sync.error is not None:
        return ReadyVerdict(kind, "Unknown", "Pending", f"the gateways could not be listed: {sync.error}")
    if sync.rejected:
        return ReadyVerdict(
            kind, "False", "Rejected", f"these gateways refused the configuration: {_names(sync.rejected)}"
        )
    if not sync.ready:
        return ReadyVerdict(
            kind, "Unknown", "Pending", "the configuration is published, but no gateway is ready to take it"
        )
    if sync.synced < sync.ready:
        note = f"; no answer from {_names(sync.silent)}" if sync.silent else ""
        message = f"{counted(sync.synced, 'ready gateway', ('has', 'have'), of=sync.ready)} the configuration{note}"
        return ReadyVerdict(kind, "False", "PartiallySynced", message)
    return ReadyVerdict(kind, "True", kind, "every ready gateway has the configuration")


def _data_plane_available(observed: Observed) -> ReadyVerdict:
    kind = "DataPlaneAvailable"
    deployment = observed.deployment
    if deployment is None:
        return ReadyVerdict(kind, "Unknown", "Pending", "the gateway Deployment does not exist yet")
    rollout = Rollout.of(deployment)
    ready, wanted = rollout.ready, rollout.wanted
    enough = ready >= max(1, wanted - 1)
    causes = _causes(observed.sync)
    if enough and not rollout.done:
        # Old gateways that still serve keep the pool available.
        message = f"{counted(ready, 'gateway', ('is', 'are'), of=wanted)} ready; {rollout.text}{causes}"
        return ReadyVerdict(kind, "True", "MinimumReplicasAvailable", message)
    progressing, failure = rollout.conditions.get("Progressing", {}), rollout.conditions.get("ReplicaFailure", {})
    if failure.get("status") == "True":
        message = str(failure.get("message", ""))
        reason = "QuotaExceeded" if "exceeded quota" in message else "ReplicaFailure"
        return ReadyVerdict(kind, "False", reason, message)
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        message = f"{progressing.get('message', '')}{causes}"
        return ReadyVerdict(kind, "False", "ProgressDeadlineExceeded", message)
    if wanted == 0:
        return ReadyVerdict(kind, "False", "MinimumReplicasUnavailable", "the gateways are scaled to zero")
    # As many as the disruption budget leaves: one may always be missing.
    text = f"{counted(ready, 'gateway', ('is', 'are'), of=wanted)} ready{causes}"
    if enough:
        return ReadyVerdict(kind, "True", "MinimumReplicasAvailable", text)
    stuck = observed.sync is not None and observed.sync.stuck
    return ReadyVerdict(kind, "False", "GatewaysNotStarting" if stuck else "MinimumReplicasUnavailable", text)


CONDITIONS: Final[Mapping[str, Callable[[Observed], ReadyVerdict]]] = {
    "Accepted": _accepted,
    "ResolvedRefs": _resolved_refs,
    "EndpointsAvailable": _endpoints_available,
    "Programmed": _programmed,
    "DataPlaneAvailable": _data_plane_available,
}
"""The conditions with a judgement of their own, in the order in which `Ready` looks at them. A new one is a function
and a line here."""

ALWAYS: Final = (*CONDITIONS, "Ready", "Degraded")


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


def _causes(sync: Sync | None) -> str:
    return f"; {'; '.join(sync.waiting[:3])}" if sync is not None and sync.waiting else ""


def _all(observed: Observed, verdicts: Sequence[ReadyVerdict]) -> list[ReadyVerdict]:
    """The conditions of an owned pool: the first five, their summary, and those for kstatus."""
    ready = _ready(observed, verdicts)
    sometimes = []
    if observed.autoscaled is not None:
        sometimes.append(observed.autoscaled)
    if observed.drift is not None:
        sometimes.append(ReadyVerdict("Drifted", "True", "ForeignFields", observed.drift))
    if observed.sync is not None and (report := observed.sync.tools) is not None:
        pods = {shown_key(found.url): found.target for found in observed.resolution.endpoints if found.target}
        sometimes.append(ReadyVerdict("ToolsDiffer", "True", report.reason, report.message(pods)))
    if ready.reason in HOPELESS:
        sometimes.append(ReadyVerdict("Stalled", "True", ready.reason, ready.message))
    elif ready.status != "True":
        sometimes.append(ReadyVerdict("Reconciling", "True", ready.reason, ready.message))
    return [*verdicts, ready, _degraded(observed), *sometimes]


def _degraded(observed: Observed) -> ReadyVerdict:
    """The trouble of a pool that serves: failing calls of clients come first."""
    kind = "Degraded"
    if observed.sync is not None and observed.sync.failing is not None:
        return ReadyVerdict(kind, "True", "CallsFail", observed.sync.failing)
    if observed.extras is not None:
        return ReadyVerdict(kind, "True", observed.extras.reason, observed.extras.message)
    return ReadyVerdict(kind, "False", "AsExpected", "all objects exist, and calls succeed")


def _ready(observed: Observed, verdicts: Sequence[ReadyVerdict]) -> ReadyVerdict:
    """The first condition that is not True; but gateways that do not start come before the consequences of their
    absence."""
    wrong = [verdict for verdict in verdicts if verdict.status != "True"]
    if wrong and wrong[0].type == "Programmed" and wrong[0].reason == "Pending":
        wrong = [verdict for verdict in wrong if verdict.type == "DataPlaneAvailable"] or wrong
    if wrong:
        return ReadyVerdict("Ready", "False", wrong[0].reason, wrong[0].message)
    if observed.deployment is not None and not (rollout := Rollout.of(observed.deployment)).done:
        return ReadyVerdict("Ready", "False", "RolloutInProgress", f"{rollout.text}{_causes(observed.sync)}")
    return ReadyVerdict("Ready", "True", "Ready", "the pool serves")


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
    verdicts: Sequence[ReadyVerdict], generation: int, previous: Mapping[str, Any], now: str
) -> list[dict[str, Any]]:
    before = {condition["type"]: condition for condition in previous.get("conditions") or ()}
    conditions = []
    for verdict in verdicts:
        old = before.get(verdict.type, {})
        conditions.append(
            {
                "type": verdict.type,
                "status": verdict.status,
                "reason": verdict.reason,
                "message": verdict.message,
                "observedGeneration": generation,
                "lastTransitionTime": old["lastTransitionTime"] if old.get("status") == verdict.status else now,
            }
        )
    return conditions


def _names(pods: Sequence[str]) -> str:
    return ", ".join(pods[:3]) + (f" and {len(pods) - 3} more" if len(pods) > 3 else "")
