"""Whether the pool's autoscalers work, in words for its status. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from mcppool.spec.plural import counted
from mcppool_operator.condition import Condition

KIND: Final = "Autoscaled"


def autoscaled(autoscalers: Iterable[Mapping[str, Any] | None]) -> Condition | None:
    """Return the condition of a pool with these HorizontalPodAutoscalers, the worst of them; None if it has none."""
    found = [_condition(autoscaler) for autoscaler in autoscalers]
    worst = ("False", "Unknown", "True")
    return min(found, key=lambda condition: worst.index(condition.status), default=None)


def _condition(autoscaler: Mapping[str, Any] | None) -> Condition:
    if autoscaler is None:
        return Condition(KIND, "Unknown", "Pending", "the HorizontalPodAutoscaler does not exist yet")
    name, spec = autoscaler["metadata"]["name"], autoscaler["spec"]
    conditions = {c["type"]: c for c in (autoscaler.get("status") or {}).get("conditions") or ()}
    for kind in ("AbleToScale", "ScalingActive"):
        entry = conditions.get(kind, {})
        if entry.get("status") == "False":
            message = f'HorizontalPodAutoscaler "{name}" does not scale: {entry.get("message", "")}'
            return Condition(KIND, "False", entry.get("reason") or kind, message)
    if "ScalingActive" not in conditions:
        message = f'HorizontalPodAutoscaler "{name}" has no measurements yet'
        return Condition(KIND, "Unknown", "Pending", message)
    limited = conditions.get("ScalingLimited", {})
    if limited.get("status") == "True" and limited.get("reason") == "TooManyReplicas":
        message = f'HorizontalPodAutoscaler "{name}" needs more than its {counted(spec["maxReplicas"], "replica")}'
        return Condition(KIND, "True", "AtMaximum", message)
    return Condition(KIND, "True", KIND, f'HorizontalPodAutoscaler "{name}" scales')
