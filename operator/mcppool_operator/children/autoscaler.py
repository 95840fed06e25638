"""How many gateways run, where the cluster decides it by their CPU."""

from __future__ import annotations

from typing import Any

from mcppool.spec.sections.gateway import AutoscalingSpec
from mcppool_operator.children import Owner
from mcppool_operator.resources import AUTOSCALER, DEPLOYMENT


def autoscaler(owner: Owner, wanted: AutoscalingSpec) -> dict[str, Any]:
    """Return the HorizontalPodAutoscaler of the gateways."""
    target = {"type": "Utilization", "averageUtilization": wanted.target_cpu_percent}
    return owner.child(
        AUTOSCALER,
        owner.gateway_name,
        spec={
            "scaleTargetRef": {
                "apiVersion": DEPLOYMENT.api_version,
                "kind": DEPLOYMENT.kind,
                "name": owner.gateway_name,
            },
            "minReplicas": wanted.min_replicas,
            "maxReplicas": wanted.max_replicas,
            "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": target}}],
        },
    )
