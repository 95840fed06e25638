"""All children of a pool except the snapshot and the keys, which need more than the pool."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import Any

from mcppool.spec.resource import Resource
from mcppool_operator.children import Child, Owner
from mcppool_operator.children.access import role, role_binding, service_account
from mcppool_operator.children.autoscaler import autoscaler
from mcppool_operator.children.deployment import GatewayImage, deployment
from mcppool_operator.children.disruption import disruption_budget
from mcppool_operator.children.network_policy import network_policy
from mcppool_operator.children.route import http_route, ingress
from mcppool_operator.children.server import (
    pods_service,
    server_autoscaler,
    server_deployment,
    server_disruption_budget,
    server_service,
)
from mcppool_operator.children.service import admin_service, service, service_monitor
from mcppool_operator.children.table import CHILDREN
from mcppool_operator.resources import (
    AUTOSCALER,
    DEPLOYMENT,
    DISRUPTION_BUDGET,
    HTTP_ROUTE,
    INGRESS,
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
    """Settings of the operator's installation for every pool's children."""

    image: GatewayImage
    namespace: str = "mcppool-system"
    lease: str = "mcppool-operator"
    operator_class: str = ""

    @property
    def name(self) -> str:
        """The identity of this installation: its Lease."""
        return f"{self.namespace}/{self.lease}"


def plan(owner: Owner, resource: Resource, installation: Installation, served: Collection[Kind]) -> list[Child]:
    """Return the desired children, in the order of creation; `served`: optional kinds that the cluster knows."""
    gateway = resource.gateway
    scaling, policy, monitor = gateway.autoscaling, gateway.network_policy, gateway.service_monitor
    bodies: dict[Kind, Callable[[], dict[str, Any] | None]] = {
        SERVICE_ACCOUNT: lambda: service_account(owner),
        ROLE: lambda: role(owner),
        ROLE_BINDING: lambda: role_binding(owner),
        SERVICE: lambda: service(owner, gateway),
        DEPLOYMENT: lambda: deployment(owner, resource, installation.image),
        DISRUPTION_BUDGET: lambda: disruption_budget(owner),
        AUTOSCALER: lambda: autoscaler(owner, scaling) if scaling is not None else None,
        NETWORK_POLICY: lambda: network_policy(owner, policy, installation.namespace) if policy.enabled else None,
        INGRESS: lambda: ingress(owner, gateway),
        HTTP_ROUTE: lambda: http_route(owner, gateway),
        SERVICE_MONITOR: lambda: service_monitor(owner, gateway) if monitor.enabled else None,
    }
    gateways = [
        Child(child.kind, owner.gateway_name, bodies[child.kind]())
        for child in CHILDREN
        if child.kind in bodies and (child.built_in or child.kind in served)
    ]
    admin = Child(SERVICE, owner.admin_name, admin_service(owner))
    return [*_servers(owner, resource, installation.image), *gateways, admin]


def _servers(owner: Owner, resource: Resource, image: GatewayImage) -> list[Child]:
    """Children that find or run the servers, for the sources that need them."""
    pods, managed = resource.source.pods, resource.source.managed
    if pods is not None:
        return [Child(SERVICE, owner.pods_name, pods_service(owner, pods.selector, pods.port))]
    if managed is not None:
        return [
            Child(SERVICE, owner.server_name, server_service(owner, managed)),
            Child(DEPLOYMENT, owner.server_name, server_deployment(owner, resource, managed, image)),
            Child(DISRUPTION_BUDGET, owner.server_name, server_disruption_budget(owner)),
            Child(AUTOSCALER, owner.server_name, server_autoscaler(owner, managed)),
        ]
    return []


def leftovers(owner: Owner, wanted: Collection[Child]) -> list[Child]:
    """Children of an earlier source of the pool that the present source lacks, to be deleted."""
    kinds = (SERVICE, DEPLOYMENT, DISRUPTION_BUDGET, AUTOSCALER)
    places = [(SERVICE, owner.pods_name), *((kind, owner.server_name) for kind in kinds)]
    kept = {child.place for child in wanted}
    return [Child(kind, name, None) for kind, name in places if (kind, name) not in kept]
