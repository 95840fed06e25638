"""Autoscaling of pods: by their CPU, and for servers also by their calls in flight."""

from __future__ import annotations

import math
from typing import Any, Final

from mcppool.spec.sections.gateway import AutoscalingSpec
from mcppool.spec.sections.managed import ServerAutoscalingSpec
from mcppool_operator.children import Owner
from mcppool_operator.resources import AUTOSCALER, DEPLOYMENT

CALLS_IN_FLIGHT: Final = "mcppool_calls_in_flight"
"""The external metric: all calls of a pool that are in flight or wait, by its namespace and the label `pool`."""


def autoscaler(owner: Owner, wanted: AutoscalingSpec) -> dict[str, Any]:
    """Return the HorizontalPodAutoscaler of the gateways."""
    return owner.child(AUTOSCALER, owner.gateway_name, spec=autoscaler_spec(owner.gateway_name, wanted))


def server_autoscaler_spec(owner: Owner, wanted: ServerAutoscalingSpec) -> dict[str, Any]:
    """Return the spec of the servers' HorizontalPodAutoscaler."""
    spec = autoscaler_spec(owner.server_name, wanted)
    if wanted.target_calls_in_flight is not None:
        metric = {"name": CALLS_IN_FLIGHT, "selector": {"matchLabels": {"pool": owner.name}}}
        target = {"type": "AverageValue", "averageValue": str(wanted.target_calls_in_flight)}
        spec["metrics"].append({"type": "External", "external": {"metric": metric, "target": target}})
    return spec


def autoscaler_spec(deployment: str, wanted: AutoscalingSpec) -> dict[str, Any]:
    """Return the spec of a Deployment's HorizontalPodAutoscaler."""
    target = {"type": "Utilization", "averageUtilization": wanted.target_cpu_percent}
    return {
        "scaleTargetRef": {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind, "name": deployment},
        "minReplicas": wanted.min_replicas,
        "maxReplicas": wanted.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        "behavior": {"scaleDown": {"stabilizationWindowSeconds": math.ceil(wanted.scale_down_stabilization)}},
    }
