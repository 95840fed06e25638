"""The one address of a pool, and what a Prometheus needs to find its gateways."""

from __future__ import annotations

from typing import Any

from mcppool.spec import GatewaySpec
from mcppool.spec.values import format_duration
from mcppool_operator.children import MCP_PORT, Owner
from mcppool_operator.resources import SERVICE, SERVICE_MONITOR


def service(owner: Owner) -> dict[str, Any]:
    """Return the Service that clients connect to. The admin port is not on it: a Service may be exposed to anyone."""
    port = {"name": "http", "port": MCP_PORT, "targetPort": "http", "protocol": "TCP", "appProtocol": "http"}
    return owner.child(
        SERVICE, owner.gateway_name, spec={"type": "ClusterIP", "selector": owner.selector, "ports": [port]}
    )


def url(owner: Owner) -> str:
    """Return where MCP clients in the cluster connect."""
    return f"http://{owner.gateway_name}.{owner.namespace}.svc:{MCP_PORT}/mcp"


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
    # The operator's own labels win: by them it finds what is its own.
    monitor["metadata"]["labels"] = {**wanted.labels, **monitor["metadata"]["labels"]}
    return monitor
