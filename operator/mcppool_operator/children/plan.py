"""All children of a pool but the two whose content is not a function of the pool alone: the snapshot and the keys."""

from __future__ import annotations

from mcppool.spec import Resource
from mcppool_operator.children import Child, Owner
from mcppool_operator.children.access import role, role_binding, service_account
from mcppool_operator.children.deployment import GatewayImage, deployment
from mcppool_operator.children.disruption import disruption_budget
from mcppool_operator.children.service import service, service_monitor
from mcppool_operator.resources import (
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    ROLE,
    ROLE_BINDING,
    SERVICE,
    SERVICE_ACCOUNT,
    SERVICE_MONITOR,
)


def plan(owner: Owner, resource: Resource, image: GatewayImage, *, monitors: bool) -> list[Child]:
    """Return what should be, in the order of making; `monitors`: whether the cluster knows ServiceMonitors."""
    children = [
        Child(SERVICE_ACCOUNT, owner.gateway_name, service_account(owner)),
        Child(ROLE, owner.gateway_name, role(owner)),
        Child(ROLE_BINDING, owner.gateway_name, role_binding(owner)),
        Child(SERVICE, owner.gateway_name, service(owner)),
        Child(DISRUPTION_BUDGET, owner.gateway_name, disruption_budget(owner)),
        Child(DEPLOYMENT, owner.gateway_name, deployment(owner, resource, image)),
    ]
    if monitors:
        wanted = resource.gateway.service_monitor.enabled
        body = service_monitor(owner, resource.gateway) if wanted else None
        children.append(Child(SERVICE_MONITOR, owner.gateway_name, body))
    return children
