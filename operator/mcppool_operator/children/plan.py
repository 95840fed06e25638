"""All children of a pool but the two whose content is not a function of the pool alone: the snapshot and the keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mcppool.spec import Resource
from mcppool_operator.children import Child, Owner
from mcppool_operator.children.access import role, role_binding, service_account
from mcppool_operator.children.autoscaler import autoscaler
from mcppool_operator.children.deployment import GatewayImage, deployment
from mcppool_operator.children.disruption import disruption_budget
from mcppool_operator.children.network_policy import network_policy
from mcppool_operator.children.service import service, service_monitor
from mcppool_operator.children.table import CHILDREN
from mcppool_operator.resources import (
    AUTOSCALER,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    NETWORK_POLICY,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    SERVICE_MONITOR,
    Kind,
)


@dataclass(frozen=True, slots=True)
class Installation:
    """What the installation of the operator decides of every pool's children."""

    image: GatewayImage
    namespace: str = "mcppool-system"


def plan(owner: Owner, resource: Resource, installation: Installation, *, monitors: bool) -> list[Child]:
    """Return what should be, in the order of making; `monitors`: whether the cluster knows ServiceMonitors."""
    gateway = resource.gateway
    scaling, policy, monitor = gateway.autoscaling, gateway.network_policy, gateway.service_monitor
    bodies: dict[Kind, Callable[[], dict[str, Any] | None]] = {
        SERVICE_ACCOUNT: lambda: service_account(owner),
        ROLE: lambda: role(owner),
        ROLE_BINDING: lambda: role_binding(owner),
        SERVICE: lambda: service(owner),
        DEPLOYMENT: lambda: deployment(owner, resource, installation.image),
        DISRUPTION_BUDGET: lambda: disruption_budget(owner),
        AUTOSCALER: lambda: autoscaler(owner, scaling) if scaling is not None else None,
        NETWORK_POLICY: lambda: network_policy(owner, policy, installation.namespace) if policy.enabled else None,
        SERVICE_MONITOR: lambda: service_monitor(owner, gateway) if monitor.enabled else None,
    }
    return [
        Child(child.kind, owner.gateway_name, bodies[child.kind]())
        for child in CHILDREN
        if child.kind in bodies and (child.built_in or monitors)
    ]
