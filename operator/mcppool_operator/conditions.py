"""The conditions of a pool: a function for each, from the observed state to status, reason and message. Pure.

`Ready` repeats the first of the others that is not True, in the order of `CONDITIONS`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from mcppool.spec.plural import counted
from mcppool.spec.urls import shown_key
from mcppool_operator.condition import Condition
from mcppool_operator.observed import Observed, Sync
from mcppool_operator.resolve import State
from mcppool_operator.rollout import Rollout

SOMETIMES: Final = ("Reconciling", "Stalled", "Drifted", "Autoscaled", "ToolsDiffer")
"""Conditions that are present only while they have a meaning; the first two are kstatus's."""

HOPELESS: Final = frozenset(
    {
        "InvalidSpec", "NameConflict", "PublishFailed", "TooManyEndpoints", "Rejected", "ProgressDeadlineExceeded",
        "QuotaExceeded", "ReplicaFailure", "GatewaysNotStarting", "ServiceUnsupported", "SourceIsGateway",
    }
)  # fmt: skip
"""Reasons that need a change by the user: waiting does not help."""


def conditions_of(observed: Observed) -> list[Condition]:
    """Return the conditions of a pool that the operator reconciles: those of `CONDITIONS`, `Ready`, and those for
    kstatus."""
    judged = [condition_of(observed) for condition_of in CONDITIONS.values()]
    ready = _ready(observed, judged)
    sometimes = []
    if observed.autoscaled is not None:
        sometimes.append(observed.autoscaled)
    if observed.drift is not None:
        sometimes.append(Condition("Drifted", "True", "ForeignFields", observed.drift))
    if observed.sync is not None and (report := observed.sync.tools) is not None:
        pods = {shown_key(found.url): found.target for found in observed.resolution.endpoints if found.target}
        sometimes.append(Condition("ToolsDiffer", "True", report.reason, report.message(pods)))
    if ready.reason in HOPELESS:
        sometimes.append(Condition("Stalled", "True", ready.reason, ready.message))
    elif ready.status != "True":
        sometimes.append(Condition("Reconciling", "True", ready.reason, ready.message))
    return [*judged, ready, _degraded(observed), *sometimes]


def _accepted(_: Observed) -> Condition:
    return Condition("Accepted", "True", "Accepted", "the specification is valid")


def _resolved_refs(observed: Observed) -> Condition:
    problem = observed.resolution.problem
    if problem is None or problem.unknown:
        return Condition("ResolvedRefs", "True", "ResolvedRefs", "every object that the pool refers to exists")
    return Condition("ResolvedRefs", "False", problem.reason, problem.message)


def _endpoints_available(observed: Observed) -> Condition:
    kind = "EndpointsAvailable"
    problem = observed.resolution.problem
    if problem is not None:
        kept = observed.published_endpoints
        note = f"; the last published ones stay: {counted(kept, 'endpoint')}" if kept else ""
        return Condition(kind, "Unknown", "Pending", f"the endpoints are unknown: {problem.message}{note}")
    total = len(observed.resolution.endpoints)
    ready = len(observed.resolution.of(State.READY))
    if ready and observed.sync is not None and observed.sync.nobody_answers is not None:
        message = (
            f"{counted(ready, 'endpoint', ('is', 'are'), of=total)} ready, and none answers the gateways: "
            f"{observed.sync.nobody_answers}"
        )
        return Condition(kind, "False", "NobodyAnswers", message)
    if ready:
        return Condition(kind, "True", kind, f"{counted(ready, 'endpoint', ('is', 'are'), of=total)} ready")
    waiting = observed.sync.servers_waiting if observed.sync is not None else ()
    causes = f"; {'; '.join(waiting[:3])}" if waiting else ""
    if total:
        return Condition(kind, "False", "NoReadyEndpoints", f"none of {counted(total, 'endpoint')} is ready{causes}")
    return Condition(kind, "False", "NoEndpoints", f"the source has no endpoints{causes}")


def _programmed(observed: Observed) -> Condition:
    kind = "Programmed"
    if observed.failure is not None:
        return observed.failure
    if observed.published is None:
        return Condition(kind, "Unknown", "Pending", "the operator publishes nothing before it knows the endpoints")
    sync = observed.sync
    if sync is None:
        return Condition(kind, "Unknown", "Pending", "the operator has not asked the gateways for their hash yet")
    if sync.error is not None:
        return Condition(kind, "Unknown", "Pending", f"the gateways could not be listed: {sync.error}")
    if sync.rejected:
        return Condition(
            kind, "False", "Rejected", f"these gateways refused the configuration: {_names(sync.rejected)}"
        )
    if not sync.ready:
        return Condition(
            kind, "Unknown", "Pending", "the configuration is published, but no gateway is ready to take it"
        )
    if sync.synced < sync.ready:
        note = f"; no answer from {_names(sync.silent)}" if sync.silent else ""
        message = f"{counted(sync.synced, 'ready gateway', ('has', 'have'), of=sync.ready)} the configuration{note}"
        return Condition(kind, "False", "PartiallySynced", message)
    return Condition(kind, "True", kind, "every ready gateway has the configuration")


def _data_plane_available(observed: Observed) -> Condition:
    kind = "DataPlaneAvailable"
    deployment = observed.deployment
    if deployment is None:
        return Condition(kind, "Unknown", "Pending", "the gateway Deployment does not exist yet")
    rollout = Rollout.of(deployment)
    ready, wanted = rollout.ready, rollout.wanted
    enough = ready >= max(1, wanted - 1)
    causes = _causes(observed.sync)
    if enough and not rollout.done:
        # Old gateways that still serve keep the pool available.
        message = f"{counted(ready, 'gateway', ('is', 'are'), of=wanted)} ready; {rollout.text}{causes}"
        return Condition(kind, "True", "MinimumReplicasAvailable", message)
    progressing, failure = rollout.conditions.get("Progressing", {}), rollout.conditions.get("ReplicaFailure", {})
    if failure.get("status") == "True":
        message = str(failure.get("message", ""))
        reason = "QuotaExceeded" if "exceeded quota" in message else "ReplicaFailure"
        return Condition(kind, "False", reason, message)
    if progressing.get("reason") == "ProgressDeadlineExceeded":
        message = f"{progressing.get('message', '')}{causes}"
        return Condition(kind, "False", "ProgressDeadlineExceeded", message)
    if wanted == 0:
        return Condition(kind, "False", "MinimumReplicasUnavailable", "the gateways are scaled to zero")
    # As many as the disruption budget leaves: one may always be missing.
    text = f"{counted(ready, 'gateway', ('is', 'are'), of=wanted)} ready{causes}"
    if enough:
        return Condition(kind, "True", "MinimumReplicasAvailable", text)
    stuck = observed.sync is not None and observed.sync.stuck
    return Condition(kind, "False", "GatewaysNotStarting" if stuck else "MinimumReplicasUnavailable", text)


CONDITIONS: Final[Mapping[str, Callable[[Observed], Condition]]] = {
    "Accepted": _accepted,
    "ResolvedRefs": _resolved_refs,
    "EndpointsAvailable": _endpoints_available,
    "Programmed": _programmed,
    "DataPlaneAvailable": _data_plane_available,
}
"""The conditions with a judgement of their own, in the order in which `Ready` looks at them. A new one is a function
and a line here."""

ALWAYS: Final = (*CONDITIONS, "Ready", "Degraded")


def _degraded(observed: Observed) -> Condition:
    """The trouble of a pool that serves: failing calls of clients come first."""
    kind = "Degraded"
    if observed.sync is not None and observed.sync.failing is not None:
        return Condition(kind, "True", "CallsFail", observed.sync.failing)
    if observed.extras is not None:
        return Condition(kind, "True", observed.extras.reason, observed.extras.message)
    return Condition(kind, "False", "AsExpected", "all objects exist, and calls succeed")


def _ready(observed: Observed, judged: Sequence[Condition]) -> Condition:
    """The first condition that is not True; but gateways that do not start come before the consequences of their
    absence."""
    wrong = [one for one in judged if one.status != "True"]
    if wrong and wrong[0].type == "Programmed" and wrong[0].reason == "Pending":
        wrong = [one for one in wrong if one.type == "DataPlaneAvailable"] or wrong
    if wrong:
        return Condition("Ready", "False", wrong[0].reason, wrong[0].message)
    if observed.deployment is not None and not (rollout := Rollout.of(observed.deployment)).done:
        return Condition("Ready", "False", "RolloutInProgress", f"{rollout.text}{_causes(observed.sync)}")
    return Condition("Ready", "True", "Ready", "the pool serves")


def _causes(sync: Sync | None) -> str:
    return f"; {'; '.join(sync.waiting[:3])}" if sync is not None and sync.waiting else ""


def _names(pods: Sequence[str]) -> str:
    return ", ".join(pods[:3]) + (f" and {len(pods) - 3} more" if len(pods) > 3 else "")
