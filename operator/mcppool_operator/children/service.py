"""The Service of a pool, and the ServiceMonitor with which a Prometheus finds its gateways."""

from __future__ import annotations

from typing import Any

from mcppool.spec.naming import camel_value
from mcppool.spec.sections.gateway import GatewaySpec
from mcppool.spec.values import format_duration
from mcppool_operator.children import ADMIN_PORT, Owner
from mcppool_operator.resources import SERVICE, SERVICE_MONITOR


def service(owner: Owner, gateway: GatewaySpec) -> dict[str, Any]:
    """Return the Service for clients. It has no admin port: a Service may be exposed to anyone."""
    wanted = gateway.service
    scheme = "https" if gateway.tls is not None else "http"
    port = {"name": "http", "port": wanted.port, "targetPort": "http", "protocol": "TCP", "appProtocol": scheme}
    spec = {"type": camel_value(wanted.type), "selector": owner.selector, "ports": [port]}
    child = owner.child(SERVICE, owner.gateway_name, spec=spec)
    if wanted.annotations:
        child["metadata"]["annotations"] = dict(wanted.annotations)
    return child


def admin_service(owner: Owner) -> dict[str, Any]:
    """Return the headless Service by which the gateways find each other: the page of one shows all of them.

    It has a component of its own, because a ServiceMonitor would otherwise find each pod through both Services.
    """
    ports = [{"name": "admin", "port": ADMIN_PORT, "targetPort": "admin", "protocol": "TCP"}]
    spec = {
        "type": "ClusterIP",
        "clusterIP": "None",
        "publishNotReadyAddresses": True,  # one that is not ready is shown, too
        "selector": owner.selector,
        "ports": ports,
    }
    child = owner.child(SERVICE, owner.admin_name, spec=spec)
    child["metadata"]["labels"] = {**owner.labels, "app.kubernetes.io/component": "gateway-admin"}
    return child


def url(owner: Owner, gateway: GatewaySpec) -> str:
    """Return the URL of the pool for MCP clients in the cluster."""
    scheme = "https" if gateway.tls is not None else "http"
    return f"{scheme}://{owner.gateway_name}.{owner.namespace}.svc:{gateway.service.port}/mcp"


def service_monitor(owner: Owner, gateway: GatewaySpec) -> dict[str, Any]:
    """Return the ServiceMonitor: it finds the pods through the Service, and scrapes their admin port."""
    wanted = gateway.service_monitor
    monitor = owner.child(
        SERVICE_MONITOR,
        owner.gateway_name,
        spec={
            "selector": {"matchLabels": owner.selector},
            "namespaceSelector": {"matchNames": [owner.namespace]},
            "endpoints": [
                {
                    "targetPort": "admin",
                    "path": "/metrics",
                    "interval": format_duration(wanted.interval),
                }
            ],
        },
    )
    # The operator's own labels win: it finds its objects by them.
    monitor["metadata"]["labels"] = {**wanted.labels, **monitor["metadata"]["labels"]}
    return monitor
