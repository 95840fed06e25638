"""The number of gateways that a drain of nodes may take away at once."""

from __future__ import annotations

from typing import Any

from mcppool_operator.children import Owner
from mcppool_operator.resources import DISRUPTION_BUDGET


def disruption_budget(owner: Owner, max_unavailable: int | str = 1) -> dict[str, Any]:
    """Return the PodDisruptionBudget of the gateways."""
    return owner.child(
        DISRUPTION_BUDGET,
        owner.gateway_name,
        spec={
            "maxUnavailable": max_unavailable,
            "selector": {"matchLabels": owner.selector},
            # A gateway that is not ready serves no client: it must not delay the drain of its node.
            "unhealthyPodEvictionPolicy": "AlwaysAllow",
        },
    )
