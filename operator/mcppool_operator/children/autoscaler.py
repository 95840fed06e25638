"""How many pods run, where the cluster decides it by their CPU."""

from __future__ import annotations

from typing import Any

from mcppool.spec.sections.gateway import AutoscalingSpec
from mcppool_operator.children import Owner
from mcppool_operator.resources import AUTOSCALER, DEPLOYMENT


def autoscaler(owner: Owner, wanted: AutoscalingSpec) -> dict[str, Any]:
    """Return the HorizontalPodAutoscaler of the gateways."""
    return owner.child(AUTOSCALER, owner.gateway_name, spec=autoscaler_spec(owner.gateway_name, wanted))


def autoscaler_spec(deployment: str, wanted: AutoscalingSpec) -> dict[str, Any]:
    """Return what a HorizontalPodAutoscaler of a Deployment says."""
    target = {"type": "Utilization", "averageUtilization": wanted.target_cpu_percent}
    return {
        "scaleTargetRef": {"apiVersion": DEPLOYMENT.api_version, "kind": DEPLOYMENT.kind, "name": deployment},
        "minReplicas": wanted.min_replicas,
        "maxReplicas": wanted.max_replicas,
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
    }
