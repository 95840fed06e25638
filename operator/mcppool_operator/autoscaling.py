"""Whether the pool's autoscalers work, in words for its status. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mcppool.spec.plural import counted
from mcppool_operator.status import ReadyVerdict

KIND: Final = "Autoscaled"


def autoscaled(autoscalers: Iterable[Mapping[str, Any] | None]) -> ReadyVerdict | None:
    """Return the condition of a pool with these HorizontalPodAutoscalers, the worst of them; None if it has none."""
    found = [_verdict(autoscaler) for autoscaler in autoscalers]
    worst = ("False", "Unknown", "True")
    return min(found, key=lambda verdict: worst.index(verdict.status), default=None)


def _verdict(autoscaler: Mapping[str, Any] | None) -> ReadyVerdict:
    if autoscaler is None:
        return ReadyVerdict(KIND, "Unknown", "Pending", "the HorizontalPodAutoscaler does not exist yet")
    name, spec = autoscaler["metadata"]["name"], autoscaler["spec"]
    conditions = {c["type"]: c for c in (autoscaler.get("status") or {}).get("conditions") or ()}
    for kind in ("AbleToScale", "ScalingActive"):
        entry = conditions.get(kind, {})
        if entry.get("status") == "False":
            message = f'HorizontalPodAutoscaler "{name}" does not scale: {entry.get("message", "")}'
            return ReadyVerdict(KIND, "False", entry.get("reason") or kind, message)
    if "ScalingActive" not in conditions:
        message = f'HorizontalPodAutoscaler "{name}" has no measurements yet'
        return ReadyVerdict(KIND, "Unknown", "Pending", message)
    limited = conditions.get("ScalingLimited", {})
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
        message = f'HorizontalPodAutoscaler "{name}" needs more than its {counted(spec["maxReplicas"], "replica")}'
        return ReadyVerdict(KIND, "True", "AtMaximum", message)
    return ReadyVerdict(KIND, "True", KIND, f'HorizontalPodAutoscaler "{name}" scales')
